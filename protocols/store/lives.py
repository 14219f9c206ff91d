"""The lives of a coordinator's instance, and the names of its transactions: ``INSTANCE~LIFE.SEQUENCE``.

The twin of ``lives.lua``. Each process of an instance is a life of it. A life has a number, a fencing epoch, which only rises:
its process chooses one, and the instance's store accepts it. So the transactions of all lives of one instance have one order,
by (life, sequence), and one point of that order, the horizon, separates the ended transactions of all lives from the others. A
name without a life has life 0.

- ``enlisted``     instance -> life     the latest life; former ones begin no transaction any more
- ``enlisted-by``  instance -> process  the process of that life
- ``generation``   ``run``, ``number``   the server's run that serves the data, and the number of this generation

A store that may lose its last writes has a generation for each run of a server on its data: after a restart or a failover its
log may be short. Its number is higher than every life before it, and no higher than any life after it. So the name of a
transaction says whether its records may be among those that were lost. Only the option ``short-log`` with ``block`` asks for
generations; else there is none, number 0.
"""

from collections.abc import Callable, Iterable

from protocols.core import Config
from protocols.store.tables import Result, Tables, table

Point = tuple[int, int]
"""(life, sequence): a place in the order of an instance's transactions."""

FIRST: Point = (0, 0)
SHORT_LOG, BLOCK = "short-log", "block"
ENLISTED, ENLISTED_BY = "enlisted", "enlisted-by"


def parts(txn: str) -> tuple[str, Point]:
    """Return ``(instance, (life, sequence))``. Raises ``ValueError`` for a text that is no transaction's name."""
    prefix, _, sequence = txn.rpartition(".")
    instance, mark, life = prefix.rpartition("~")
    if not _is_number(sequence):
        raise ValueError(f"{txn!r} is no transaction's name: it has no sequence number")
    return (instance, (int(life), int(sequence))) if mark and _is_number(life) else (prefix, (0, int(sequence)))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def prefix_of(instance: str, life: int) -> str:
    """Return the part of a name that all transactions of one life share."""
    return f"{instance}~{life}" if life else instance


def enlist(tables: Tables, config: Config, now: int, instance: str, life: int, process: str = "") -> tuple[int, str]:
    """Make this the latest life, if its number is above every other one and the generation. Return the latest
    ``(life, process)``.

    It is the caller's if both are its own; else the caller chooses a higher number. Each life repeats its own from time to time,
    which restores one that the store has lost with its last writes.

    A number that the store chose would be taken anew by a copy of the command. The copy of an ended connection may be executed
    after the command was sent again over the next one, and would supersede the very process that has sent it.
    """
    last = tables.get(ENLISTED, {}).get(instance, 0)
    if life > max(last, generation(tables, config)):
        table(tables, ENLISTED)[instance] = last = life
        table(tables, ENLISTED_BY)[instance] = process
    return last, tables.get(ENLISTED_BY, {}).get(instance, "")


def begin_generation(tables: Tables, config: Config, now: int, run: str) -> tuple[int]:
    """Return ``(number,)`` of the generation, a new one unless the same ``run`` of the server began this one.

    A new number is at least the time in milliseconds, so that it exceeds a number that the store may have lost.
    """
    fields = tables.setdefault("generation", {})
    if fields.get("run") != run:
        fields["number"] = max(
            generation(tables, config) + 1, *(life + 1 for life in tables.get(ENLISTED, {}).values()), now
        )
        fields["run"] = run
    return (generation(tables, config),)


def has_generations(config: Config) -> bool:
    """Return whether a store has generations."""
    return config.options.get(SHORT_LOG) == BLOCK


def generation(tables: Tables, config: Config) -> int:
    """Return the number of the store's generation, 0 without generations."""
    if not has_generations(config):
        return 0
    return int(tables.get("generation", {}).get("number", 0))


def short_log(tables: Tables, config: Config, txn: str) -> bool:
    """Return whether records of a transaction may have been lost: it is older than the store's generation."""
    return parts(txn)[1][0] < generation(tables, config)


def superseded(tables: Tables, config: Config, txn: str) -> bool:
    """Return whether a later life of the instance, or of its store, has begun than the transaction's."""
    instance, (life, _) = parts(txn)
    return life < max(int(tables.get(ENLISTED, {}).get(instance, 0)), generation(tables, config))


def horizon(instance: str, life: int, oldest: int, unfinished: Iterable[str]) -> Point:
    """Return the point below which all of the instance's transactions have ended.

    ``oldest`` is the smallest sequence that ``life`` has not ended. ``unfinished`` names the unfinished transactions in the store
    at a time when no life before ``life`` could begin one any more: every other transaction of these lives has ended.
    """
    own = (life, oldest)
    named = (parts(txn) for txn in unfinished)
    return min([own, *(point for other, point in named if other == instance and point < (life, 0))])


COMMANDS: dict[str, Callable[..., Result]] = {"enlist": enlist, "begin_generation": begin_generation}
