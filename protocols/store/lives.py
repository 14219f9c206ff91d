"""The lives of a coordinator's instance, and the names of its transactions: ``INSTANCE~LIFE.SEQUENCE``.

The twin of ``lives.lua``. Each process of an instance is a life of it and has a number of its own, which the instance's store
gives out and which only rises: a fencing epoch. So the transactions of all lives of one instance have one order, by (life,
sequence), and one point of it says of all lives together what has ended. A name without a life has life 0.

- ``enlisted``   instance -> life      the last that began; a former one begins no transaction any more
"""

from collections.abc import Iterable

from protocols.store.tables import Tables

Point = tuple[int, int]
"""(life, sequence): a place in the order of an instance's transactions."""

FIRST: Point = (0, 0)


def parts(txn: str) -> tuple[str, Point]:
    """``(instance, (life, sequence))``. Raises ``ValueError`` for a text that is no transaction's name."""
    prefix, _, sequence = txn.rpartition(".")
    instance, mark, life = prefix.rpartition("~")
    if not _is_number(sequence):
        raise ValueError(f"{txn!r} is no transaction's name: it has no sequence number")
    return (instance, (int(life), int(sequence))) if mark and _is_number(life) else (prefix, (0, int(sequence)))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def prefix_of(instance: str, life: int) -> str:
    """The part of a name that all transactions of one life share."""
    return f"{instance}~{life}" if life else instance


def enlist(tables: Tables, config: object, now: int, instance: str, life: int) -> tuple[int]:
    """``(life,)``: the number of a life that begins (``life`` 0), or the highest so far, at least ``life``.

    A number is not below the time in milliseconds: should a store lose its last writes, the next life is above the one that it
    has forgotten. A life repeats its own number now and then, which brings it back before.
    """
    enlisted = tables.setdefault("enlisted", {})
    last: int = enlisted.get(instance, 0)
    enlisted[instance] = max(last, life) if life else max(last + 1, now)
    return (enlisted[instance],)


def superseded(tables: Tables, txn: str) -> bool:
    """Whether a later life of the instance has begun than the transaction's."""
    instance, (life, _) = parts(txn)
    return life < int(tables.get("enlisted", {}).get(instance, 0))


def horizon(instance: str, life: int, oldest: int, unfinished: Iterable[str]) -> Point:
    """The point below which all of the instance's transactions have ended.

    ``oldest`` is the smallest sequence that ``life`` has not ended; ``unfinished`` names what the store knew as unfinished at a
    time when no life before ``life`` could begin anything any more: whatever it does not name of them has ended for good.
    """
    own = (life, oldest)
    named = (parts(txn) for txn in unfinished)
    return min([own, *(point for other, point in named if other == instance and point < (life, 0))])


COMMANDS = {"enlist": enlist}
