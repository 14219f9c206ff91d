"""Fences: what a protocol remembers of transactions that messages may still name. The twin of ``fences.lua``.

Every message that begins something carries a horizon, a point in the order of its instance's
transactions (``protocols.store.lives``) below which all of them have ended, those of former lives as well.

- ``fence:PREFIX``    sequence -> what the protocol remembers of the transaction here: a verdict, a record
- ``lives:INSTANCE``  life -> PREFIX           the lives of the instance that have such a table
- ``horizon``         instance -> (life, sequence)   all before it have ended: fences collected, what still arrives is stale
- ``announced``       instance -> (life, sequence)   the highest horizon that a message brought with a sequence of at most 1,000:
                                                     collection reaches it at once, so a fence below it should be gone

No fence has a time-to-live, for a message may be late by any amount; the memory of a store does not grow with what has ended,
nor with how often a coordinator was started: an instance has one horizon, whatever its lives.
"""

from typing import Any

from protocols.store.lives import FIRST, Point, parts, prefix_of
from protocols.store.tables import Tables, drop, table

COLLECTED_AT_ONCE = 1_000
FENCED = "fenced"
"""The state of a transaction of which only a fence is left that should have been collected."""


def stale(tables: Tables, txn: str) -> bool:
    """Whether the transaction has ended so long ago that nothing is remembered of it."""
    instance, point = parts(txn)
    return point < _horizon(tables, instance)


def recall(tables: Tables, txn: str) -> Any:
    """What was remembered of the transaction, None if nothing is."""
    prefix, _, sequence = txn.rpartition(".")
    return tables.get(f"fence:{prefix}", {}).get(sequence)


def remember(tables: Tables, txn: str, what: Any) -> None:
    if stale(tables, txn):
        return
    prefix, _, sequence = txn.rpartition(".")
    instance, (life, _) = parts(txn)
    table(tables, f"fence:{prefix}")[sequence] = what
    table(tables, f"lives:{instance}")[str(life)] = prefix


def announce(tables: Tables, txn: str, horizon: Point) -> None:
    """Record a horizon apart from its collection, so that fences which are never collected are seen by `uncollected`."""
    instance, _ = parts(txn)
    if horizon > FIRST and horizon[1] <= COLLECTED_AT_ONCE:
        announced = table(tables, "announced")
        announced[instance] = max(announced.get(instance, FIRST), tuple(horizon))


def collect(tables: Tables, txn: str, horizon: Point) -> None:
    """Drop the fences of what ended: of former lives as a whole, of the horizon's own a bounded number at a time."""
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
    """(txn, ``fenced``, "", now) for each fence that should have been collected, as a list of transactions has it."""
    found = []
    announced = tables.get("announced", {})
    for instance in {**announced, **tables.get("horizon", {})}:
        reached = max(_horizon(tables, instance), announced.get(instance, FIRST))
        for prefix in tables.get(f"lives:{instance}", {}).values():
            named = (f"{prefix}.{sequence}" for sequence in tables.get(f"fence:{prefix}", {}))
            found += [(txn, FENCED, "", now) for txn in named if parts(txn)[1] < reached]
    return found
