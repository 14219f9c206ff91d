"""The tables of a store in memory: a table is a dictionary of records, as a hash of a Valkey server. The twin of ``tables.lua``.

A command is a pure function ``(tables, config, now, *args)`` that changes the tables and returns a ``Result``. ``now`` is in
milliseconds since the epoch.
"""

from typing import Any

Tables = dict[str, dict[str, Any]]
"""A Valkey key to the fields of its hash."""
Result = tuple[Any, ...]
"""The reply of a command: str, int, bool, and tuples of these."""


def table(tables: Tables, name: str) -> dict[str, Any]:
    """Return a table, a new one if there is none of this name."""
    return tables.setdefault(name, {})


def drop(tables: Tables, name: str, field: str) -> None:
    """Delete a field; a table without fields does not exist, as in Valkey."""
    fields = tables.get(name, {})
    fields.pop(field, None)
    if name in tables and not fields:
        del tables[name]


def waited(tables: Tables, now: int, name: str, txn: str) -> int:
    """Return the milliseconds since ``since_ms`` of a record, which is a named tuple.

    A time in the future comes from a clock that is ahead of this one, perhaps of a node that never returns. It becomes ``now``,
    so that the patience of the reader, on the reader's clock, bounds the wait.
    """
    record = tables[name][txn]
    since_ms: int = record.since_ms
    if since_ms > now:
        tables[name][txn] = record._replace(since_ms=now)
    return max(0, now - since_ms)
