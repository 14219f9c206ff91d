"""The store commands of two-phase commit as pure functions: the twin of ``commands.lua``, command by command.

Each command is one atomic step: check the fence, check the guard, record, apply. ``locks.py`` has the lock policies.

The coordinator's tables, beside the orders (``protocols.shop.ledger_orders``):

- ``open``        txn -> ``Opened``   the permission to commit; an inquiry takes it away
- ``committed``   txn -> ``Opened``   COMMIT, until every branch has acknowledged

A participant's tables, beside the accounts:

- ``prepared``    txn -> ``Prepared``   PREPARED: in doubt, holding its locks
- ``queued``      txn -> ``Prepared``   waiting for a lock, without locks here
- ``wait:KEY``    txn -> priority_us   the transactions that wait for the lock of KEY
- a fence (``protocols.store.fences``)  "committed" or the reason of the abort: the answer to repeated and late messages

``votes`` in a result are (coordinator, txn, branch, why), ``wounds`` (coordinator, txn).
"""

from typing import Any

from protocols.core import Config
from protocols.shop import ledger, ledger_orders
from protocols.store.fences import announce, collect, recall, remember, stale, uncollected
from protocols.store.keys import Keys, adopt
from protocols.store.lives import Point, generation, short_log
from protocols.store.tables import Result, Tables, drop, table, waited
from protocols.two_phase import locks
from protocols.two_phase.records import Opened, Prepared

ABORTED = "conflict:aborted"  # by the coordinator: another attempt may commit

# ---------------------------------------------------------------- coordinator


def open_(
    tables: Tables, config: Config, now: int, txn: str, subject: str, owner: str, key: str = "", adopts: Keys = ()
) -> Result:
    """Write OPEN, and take the order: ``("open", branches)``, or a rejection as of ``ledger_orders.admit``.

    ``owner`` recovers a transaction that checks the order out if a request with a key in ``adopts`` began it.
    """
    known = txn in tables.get("open", {})
    branches, rejection = ledger_orders.admit(tables, config, subject, txn, key, known=known)
    if rejection:
        adopt(tables, "open", ledger_orders.holder(tables, subject), adopts, owner)
        return rejection
    ledger_orders.hold(tables, subject, txn)
    table(tables, "open")[txn] = Opened(subject, owner, now, branches, key, owner)
    return ("open", branches)


def commit(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """Write COMMIT, and pay the order: ``("committed",)``; ``("fenced",)`` if the transaction is not open any more."""
    if txn in tables.get("committed", {}):
        return ("committed",)
    record = tables.get("open", {}).get(txn)
    if record is None or (ledger_orders.holder(tables, record.subject) != txn and config.enabled("order-lock")):
        return ("fenced",)
    drop(tables, "open", txn)
    ledger_orders.settle(tables, record.subject)
    table(tables, "committed")[txn] = record
    return ("committed",)


def close(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """Delete OPEN of a transaction that its owner aborted, and release its order."""
    _fence(tables, txn)
    return ("closed",)


def resolve(
    tables: Tables,
    config: Config,
    now: int,
    txn: str,
    patience: int,
    sender: str,
    branch: str,
    short: bool = False,
) -> Result:
    """Return the answer to an inquiry: ``("commit" | "abort", branches)``, ``("pending", ())`` or ``("unknown", ())``.

    A transaction is pending while it has been open for less than ``patience`` ms. It is unknown if its COMMIT may have been lost
    with the end of this store's log, or if ``short``, COMMITTED with that of the inquirer. The command does not use ``sender``
    and ``branch``: they return to the machine with the result.
    """
    if txn in tables.get("committed", {}):
        return ("commit", tables["committed"][txn].branches)
    record = tables.get("open", {}).get(txn)
    if short_log(tables, config, txn) or (short and record is None):
        return ("unknown", ())
    if record is None:
        return ("abort", ())
    if patience and waited(tables, now, "open", txn) < patience:
        return ("pending", ())
    if config.enabled("fence-inquiry"):
        _fence(tables, txn)
    return ("abort", record.branches)


def end(tables: Tables, config: Config, now: int, *txns: str) -> Result:
    """Delete the records of commits that every branch acknowledged."""
    for txn in txns:
        drop(tables, "committed", txn)
    return ("ended",)


def unfinished(tables: Tables, config: Config, now: int, owner: str, older_than: int) -> Result:
    """Return ``((txn, (txn, "open" | "committed", branches)), ...)`` of ``owner``, and of older ones (ms) of any owner.

    Those of ``owner`` are the ones that it began or adopted.
    """
    rows = []
    for state in ("open", "committed"):
        for txn, record in tuple(tables.get(state, {}).items()):
            if owner in (record.owner, record.adopter) or waited(tables, now, state, txn) > older_than:
                rows.append((txn, (txn, state, record.branches)))
    return tuple(sorted(rows))


def _fence(tables: Tables, txn: str) -> None:
    """Make the commit of an open transaction impossible, and release its order."""
    record = tables.get("open", {}).get(txn)
    if record is None:
        return
    drop(tables, "open", txn)
    if ledger_orders.holder(tables, record.subject) == txn:
        ledger_orders.hold(tables, record.subject, "")


# ---------------------------------------------------------------- participant


def prepare(
    tables: Tables,
    config: Config,
    now: int,
    txn: str,
    home: str,
    branch: str,
    priority_us: int,
    horizon: Point,
    changes: tuple[tuple[str, int], ...],
    coordinator: str,
) -> Result:
    """Write PREPARED with all locks of the branch, reject the branch, or queue it: ``(votes, wounds)``.

    A queued branch has no vote yet.
    """
    announce(tables, txn, horizon)
    collect(tables, txn, horizon)
    verdict = _verdict(tables, config, txn)
    if verdict:
        return (((coordinator, txn, branch, "" if verdict == "committed" else verdict),), ())
    if txn in tables.get("prepared", {}):
        return (((coordinator, txn, branch, ""),), ())
    record = Prepared(home, branch, coordinator, priority_us, now, changes, generation(tables, config))
    why, wounds = locks.acquire(tables, config, txn, record)
    return ((), wounds) if why == "wait" else (((coordinator, txn, branch, why),), ())


def apply(tables: Tables, config: Config, now: int, txn: str, branch: str, coordinator: str) -> Result:
    """Write COMMITTED with the new values, and grant its locks to waiting branches: ``("applied", votes, wounds)``.

    Returns ``("lost",)`` without a record of the branch: it voted yes, so the store has lost an acknowledged write.
    """
    record = tables.get("prepared", {}).get(txn)
    if record is None:
        return ("applied", (), ()) if _verdict(tables, config, txn) else ("lost",)
    ledger.apply(tables, record.changes)
    return ("applied", *_finish(tables, config, now, txn, "committed"))


def undo(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """Abort a branch that is prepared, queued or unknown here: ``(votes, wounds)``.

    The fence of an unknown branch keeps a late prepare from holding locks until its inquiry. That is no safeguard: it only
    shortens the wait of others.
    """
    if txn in tables.get("prepared", {}) or txn in tables.get("queued", {}):
        return _finish(tables, config, now, txn, ABORTED)
    if not _verdict(tables, config, txn):
        remember(tables, txn, ABORTED)
    return ((), ())


def doubts(tables: Tables, config: Config, now: int, owner: str, older_than: int) -> Result:
    """Return ``((txn, (txn, home, branch, short)), ...)``, in doubt for more than ``older_than`` ms.

    They are at most 100, the oldest first, and belong to no instance. Their times start anew: each one has its turn for an
    inquiry. A time as far in the future counts as well: a clock was set back, and an inquiry is always safe. Queued branches are
    inquired about as well, because the abort of one may have been lost: in its turn it would hold the lock. ``short``: COMMITTED
    may have been lost, as the record is of an older generation.
    """
    late = sorted(
        (record.since_ms, txn, state)
        for state in ("prepared", "queued")
        for txn, record in tables.get(state, {}).items()
        if abs(now - record.since_ms) > older_than
    )[:100]
    rows = []
    for _, txn, state in late:
        record = tables[state][txn]
        tables[state][txn] = record._replace(since_ms=now)
        rows.append((txn, (txn, record.home, record.branch, record.generation < generation(tables, config))))
    return tuple(rows)


# ---------------------------------------------------------------- lists for operators


def list_txns(tables: Tables, config: Config, now: int) -> Result:
    """Return ``((txn, state, order or branch, since), ...)`` of all unfinished transactions and of uncollected fences."""
    rows = []
    for state, subject in (("open", "subject"), ("committed", "subject"), ("prepared", "branch"), ("queued", "branch")):
        records = tables.get(state, {}).items()
        rows += [(txn, state, getattr(record, subject), record.since_ms) for txn, record in records]
    return tuple(sorted((*rows, *uncollected(tables, now))))


def txn_verdict(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """Return ``(verdict,)`` from this participant's fence, or ``("",)`` without one."""
    return (recall(tables, txn) or "",)


# ---------------------------------------------------------------- verdicts


def _finish(tables: Tables, config: Config, now: int, txn: str, verdict: str) -> tuple[Any, Any]:
    """Record the verdict, release the locks, and grant them to waiting branches."""
    record = tables.get("prepared", {}).get(txn)
    remember(tables, txn, verdict)
    if record is None:
        locks.dequeue(tables, txn)
        return (), ()
    drop(tables, "prepared", txn)
    freed = locks.release(tables, config, txn, record.changes, verdict == "committed")
    return locks.grant(tables, config, now, freed)


def _verdict(tables: Tables, config: Config, txn: str) -> str:
    """Return ``committed``, the reason of an abort, ``conflict:stale`` below the horizon, or ""."""
    if stale(tables, txn):
        return "conflict:stale" if config.enabled("refuse-stale") else ""
    verdict: str = recall(tables, txn) or ""
    if verdict == "committed" and not config.enabled("replay-verdict"):
        return ""
    return verdict


COMMANDS = {
    "open": open_,
    **{
        command.__name__: command
        for command in (
            commit,
            close,
            resolve,
            end,
            unfinished,
            prepare,
            apply,
            undo,
            doubts,
            list_txns,
            txn_verdict,
        )
    },
}
