"""What a protocol keeps in a store beside the shop's data: tables of records, and the fences of what may still be spoken of.

The twin of ``records.lua``. Ids are ``prefix.sequence``, the prefix a coordinating process' own; every message that begins
something carries a horizon below which all of its prefix have ended.

- ``fence:PREFIX``  sequence -> what the protocol remembers of the transaction here: a verdict, a record
- ``horizon``       prefix -> sequence      all before it have ended: fences collected, what still arrives is stale

No fence has a time-to-live, for a message may be late by any amount; the memory of a store does not grow with what has ended.
"""

from typing import Any

from protocols.shop.ledger import Tables

COLLECTED_AT_ONCE = 1_000
FENCED = "fenced"
"""The state of a transaction of which only a fence is left that should have been collected."""


def table(tables: Tables, name: str) -> dict[str, Any]:
    return tables.setdefault(name, {})


def drop(tables: Tables, name: str, field: str) -> None:
    """Delete a field; a table without fields does not exist, as in Valkey."""
    found = tables.get(name, {})
    found.pop(field, None)
    if name in tables and not found:
        del tables[name]


def waited(tables: Tables, now: int, name: str, txn: str, at: int) -> int:
    """Milliseconds since the time that the record has at index ``at``.

    A time in the future was written by a clock that is ahead of this one, perhaps of a node that never comes back: it is set to
    ``now``, so that the wait for it is bounded by the reader's patience on the reader's clock, whatever the other said.
    """
    record = tables[name][txn]
    since: int = record[at]
    if since > now:
        tables[name][txn] = (*record[:at], now, *record[at + 1 :])
    return max(0, now - since)


# ---------------------------------------------------------------- fences


def stale(tables: Tables, txn: str) -> bool:
    """Whether the transaction has ended so long ago that nothing is remembered of it."""
    prefix, _, sequence = txn.rpartition(".")
    return int(sequence) < int(tables.get("horizon", {}).get(prefix, 0))


def recall(tables: Tables, txn: str) -> Any:
    """What was remembered of the transaction, None if nothing is."""
    prefix, _, sequence = txn.rpartition(".")
    return tables.get(f"fence:{prefix}", {}).get(sequence)


def remember(tables: Tables, txn: str, what: Any) -> None:
    prefix, _, sequence = txn.rpartition(".")
    if not stale(tables, txn):
        table(tables, f"fence:{prefix}")[sequence] = what


def collect(tables: Tables, txn: str, horizon: int) -> None:
    """Drop the fences of what ended, a bounded number at a time."""
    prefix = txn.rpartition(".")[0]
    first = tables.get("horizon", {}).get(prefix, 0)
    last = min(horizon, first + COLLECTED_AT_ONCE)
    if last <= first:
        return
    for sequence in range(first, last):
        drop(tables, f"fence:{prefix}", str(sequence))
    table(tables, "horizon")[prefix] = last


def uncollected(tables: Tables, now: int) -> list[tuple[str, str, str, int]]:
    """(txn, ``fenced``, "", now) for each fence below its horizon, as a list of transactions has it: there should be none."""
    return [
        (f"{prefix}.{sequence}", FENCED, "", now)
        for prefix, horizon in tables.get("horizon", {}).items()
        for sequence in tables.get(f"fence:{prefix}", {})
        if int(sequence) < horizon
    ]
