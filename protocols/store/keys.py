"""Idempotency keys: the results of requests, so that a repeated request has one effect and one answer.

The twin of ``keys.lua``. After the IETF draft "The Idempotency-Key HTTP Header Field"
(draft-ietf-httpapi-idempotency-key-header), section 2, and Helland, "Life beyond distributed transactions", CIDR 2007 (the
recipient of a message recognizes its repetition).

- ``keys``       {"newest": 0 or 1}: the generation that takes new records
- ``keys:0``, ``keys:1``   KEY -> (request, subject, result): the two generations

The record of a transaction has the key of its request and an ``adopter``: the instance that recovers the transaction beside its
owner, at first the owner itself.

A generation that is full becomes the older one, and the former older one is dropped. So a store keeps at least the last ``kept``
records and at most twice as many. A count needs no clock: a wrong one can make no key be forgotten too early.
"""

from typing import NamedTuple

from protocols.store.tables import Result, Tables, table

KEPT = 50_000
"""The records that a store keeps at least: ten seconds at 5,000 changes a second, about 15 MB."""

Keys = tuple[str, ...]


class Remembered(NamedTuple):
    """The record of a key: the request in words, the id of its subject, and the result of its command."""

    request: str
    subject: str
    result: Result


def recall_key(tables: Tables, key: str) -> Remembered | None:
    """Return the record of a key, if the store has one; never for the empty key."""
    for name in ("keys:0", "keys:1"):
        if key and key in tables.get(name, {}):
            return Remembered(*tables[name][key])
    return None


def remember_key(tables: Tables, key: str, kept: int, record: Remembered) -> None:
    """Write the record of a key, and drop the older generation if the newest has ``kept`` records."""
    newest: int = tables.get("keys", {}).get("newest", 0)
    if len(tables.get(f"keys:{newest}", {})) >= kept:
        newest = 1 - newest
        tables.pop(f"keys:{newest}", None)
        table(tables, "keys")["newest"] = newest
    table(tables, f"keys:{newest}")[key] = tuple(record)


def adopt(tables: Tables, name: str, txn: str, keys: Keys, adopter: str) -> None:
    """Have ``adopter`` recover ``txn``, a record of the table ``name``, if a request with one of these keys began it.

    That is no decision about the transaction: its owner may be at work on it, as during any recovery by another instance.
    """
    record = tables.get(name, {}).get(txn)
    if record is not None and record.key in keys:
        tables[name][txn] = record._replace(adopter=adopter)
