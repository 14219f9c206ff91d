"""Fences: the deduplication records of transactions, against late messages. The twin of ``fences.lua``.

Every message that begins a branch carries a horizon, a point in the order of its instance's transactions
(``protocols.store.lives``) below which all of them have ended, those of former lives as well.

- ``fence:PREFIX``    sequence -> the fence of the transaction here: a verdict or a record, as the protocol chooses
- ``lives:INSTANCE``  life -> PREFIX                 the lives of the instance that have such a table
- ``horizon``         instance -> (life, sequence)   the fences below it are collected, and messages below it are stale
- ``announced``       instance -> (life, sequence)   the highest horizon of a message with a sequence of at most 1,000: one
                                                     collection reaches it, so a fence below it is a defect

No fence has a time-to-live, because a message may be late by any amount. Yet the memory of a store grows neither with the number
of ended transactions nor with the number of starts of a coordinator: an instance has one horizon for all of its lives.
"""

from typing import Any

from protocols.store.lives import FIRST, Point, parts, prefix_of
from protocols.store.tables import Tables, drop, table

COLLECTED_AT_ONCE = 1_000
FENCED = "fenced"
"""The state of an ended transaction whose fence should have been collected."""


def stale(tables: Tables, txn: str) -> bool:
    """Return whether the transaction is below the horizon: it has ended, and its fence is collected."""
    instance, point = parts(txn)
    return point < _horizon(tables, instance)


def recall(tables: Tables, txn: str) -> Any:
    """Return the fence of the transaction, or None."""
    prefix, _, sequence = txn.rpartition(".")
    return tables.get(f"fence:{prefix}", {}).get(sequence)


def remember(tables: Tables, txn: str, record: Any) -> None:
    """Write the fence of the transaction, unless it is stale."""
    if stale(tables, txn):
        return
    prefix, _, sequence = txn.rpartition(".")
    instance, (life, _) = parts(txn)
    table(tables, f"fence:{prefix}")[sequence] = record
    table(tables, f"lives:{instance}")[str(life)] = prefix


def announce(tables: Tables, txn: str, horizon: Point) -> None:
    """Record a horizon separately from its collection, so that `uncollected` lists fences that no command collects."""
    instance, _ = parts(txn)
    if horizon > FIRST and horizon[1] <= COLLECTED_AT_ONCE:
        announced = table(tables, "announced")
        announced[instance] = max(announced.get(instance, FIRST), tuple(horizon))


def collect(tables: Tables, txn: str, horizon: Point) -> None:
    """Drop the fences below ``horizon``: those of former lives as a whole, of its own life a bounded number at a time."""
    instance, _ = parts(txn)
    life, sequence = horizon
    known, first = _horizon(tables, instance)
    if (life, sequence) <= (known, first):
        return
    if life > known:
        _drop_lives(tables, instance, life)
        first = 0
    last = min(sequence, first + COLLECTED_AT_ONCE)
    for ended in range(first, last):
        drop(tables, f"fence:{prefix_of(instance, life)}", str(ended))
    table(tables, "horizon")[instance] = (life, last)


def _horizon(tables: Tables, instance: str) -> Point:
    point: Point = tables.get("horizon", {}).get(instance, FIRST)
    return point


def _drop_lives(tables: Tables, instance: str, before: int) -> None:
    for life, prefix in tuple(tables.get(f"lives:{instance}", {}).items()):
        if int(life) < before:
            tables.pop(f"fence:{prefix}", None)
            drop(tables, f"lives:{instance}", life)


def uncollected(tables: Tables, now: int) -> list[tuple[str, str, str, int]]:
    """Return (txn, ``fenced``, "", now), a row of ``list_txns``, for each fence that should have been collected."""
    rows = []
    announced = tables.get("announced", {})
    for instance in {**announced, **tables.get("horizon", {})}:
        reached = max(_horizon(tables, instance), announced.get(instance, FIRST))
        for prefix in tables.get(f"lives:{instance}", {}).values():
            named = (f"{prefix}.{sequence}" for sequence in tables.get(f"fence:{prefix}", {}))
            rows += [(txn, FENCED, "", now) for txn in named if parts(txn)[1] < reached]
    return rows
