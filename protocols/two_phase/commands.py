"""The store's side of two-phase commit as pure functions: the twin of ``commands.lua``, command by command.

Each is one atomic step: check the fence, check the guard, record, apply. Who may lock what is in ``locks.py``.

The coordinator's tables, beside the orders (``protocols.shop.ledger_orders``):

- ``open``        txn -> ``Opened``   the permission to commit; an inquiry takes it away
- ``committed``   txn -> ``Opened``   COMMIT, until every branch has acknowledged

A participant's, beside the accounts:

- ``prepared``    txn -> ``Prepared``   PREPARED: in doubt, holding its locks
- ``queued``      txn -> ``Prepared``   waiting for a lock, holding nothing here
- ``wait:KEY``    txn -> priority_us                                               who waits for the lock of KEY
- a fence (``protocols.store.fences``)           "committed" or why not         the verdict, replayed to whatever comes late

``votes`` in a result are (coordinator, txn, branch, why), ``wounds`` (coordinator, txn).
"""

from typing import Any

from protocols.core import Config
from protocols.shop import ledger, ledger_orders
from protocols.store.fences import announce, collect, recall, remember, stale, uncollected
from protocols.store.lives import Point
from protocols.store.tables import Result, Tables, drop, table, waited
from protocols.two_phase import locks
from protocols.two_phase.records import Opened, Prepared

ABORTED = "conflict:aborted"  # by whoever asked: nothing speaks against trying again

# ---------------------------------------------------------------- coordinator


def open_(tables: Tables, config: Config, now: int, txn: str, subject: str, owner: str) -> Result:
    """Take the order and say what it changes: ``("open", branches)``, ``("paid",)``, ``("busy", txn)``, ``("no", why)``."""
    state, branches, holder = ledger_orders.plan(tables, subject)
    if state == "paid":
        return ("paid",)
    if state in ledger_orders.NEVER:
        return ("no", f"{state}:order:{subject}")
    if holder not in ("", txn) and config.enabled("order-lock"):
        return ("busy", holder)
    if ledger_orders.begun(tables, subject, txn) and txn not in tables.get("open", {}) and config.enabled("open-once"):
        return ("busy", txn)  # a late copy: it is over
    ledger_orders.hold(tables, subject, txn)
    table(tables, "open")[txn] = Opened(subject, owner, now, branches)
    return ("open", branches)


def commit(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """COMMIT and the paid order: ``("committed",)``; ``("fenced",)`` if the transaction is not open any more."""
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
    """Free the order of a transaction that its owner aborted."""
    _fence(tables, txn)
    return ("closed",)


def resolve(tables: Tables, config: Config, now: int, txn: str, patience: int, sender: str, branch: str) -> Result:
    """The answer to an inquiry: ``("commit", branches)``, ``("abort", branches)``, ``("pending", ())``.

    Pending while the transaction is open and ``waited`` for less than ``patience`` ms; never if that is 0. ``sender`` and
    ``branch`` are the caller's notes.
    """
    if txn in tables.get("committed", {}):
        return ("commit", tables["committed"][txn].branches)
    record = tables.get("open", {}).get(txn)
    if record is None:
        return ("abort", ())
    if patience and waited(tables, now, "open", txn) < patience:
        return ("pending", ())
    if config.enabled("fence-inquiry"):
        _fence(tables, txn)
    return ("abort", record.branches)


def end(tables: Tables, config: Config, now: int, *txns: str) -> Result:
    """Forget commits that every branch acknowledged."""
    for txn in txns:
        drop(tables, "committed", txn)
    return ("ended",)


def unfinished(tables: Tables, config: Config, now: int, owner: str, older_than: int) -> Result:
    """``((txn, (txn, "open" | "committed", branches)), ...)``: those of ``owner``, and anybody's that are older (ms)."""
    found = []
    for state in ("open", "committed"):
        for txn, record in tuple(tables.get(state, {}).items()):
            if record.owner == owner or waited(tables, now, state, txn) > older_than:
                found.append((txn, (txn, state, record.branches)))
    return tuple(sorted(found))


def _fence(tables: Tables, txn: str) -> None:
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
    """PREPARED with all locks of the branch, a refusal, or a place in the queue: ``(votes, wounds)``.

    ``votes`` is empty while it waits.
    """
    announce(tables, txn, horizon)
    collect(tables, txn, horizon)
    verdict = _verdict(tables, config, txn)
    if verdict:
        return (((coordinator, txn, branch, "" if verdict == "committed" else verdict),), ())
    if txn in tables.get("prepared", {}):
        return (((coordinator, txn, branch, ""),), ())
    why, wounds = locks.acquire(tables, config, txn, Prepared(home, branch, coordinator, priority_us, now, changes))
    return ((), wounds) if why == "wait" else (((coordinator, txn, branch, why),), ())


def apply(tables: Tables, config: Config, now: int, txn: str, branch: str, coordinator: str) -> Result:
    """COMMITTED, the new values, and the locks to those who wait: ``("applied", votes, wounds)``.

    ``("lost",)`` if this store has never heard of the transaction: it voted yes, so it lost an acknowledged write.
    """
    record = tables.get("prepared", {}).get(txn)
    if record is None:
        return ("applied", (), ()) if _verdict(tables, config, txn) else ("lost",)
    ledger.apply(tables, record.changes)
    return ("applied", *_finish(tables, config, now, txn, "committed"))


def undo(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """Abort, whether prepared, queued or never heard of: ``(votes, wounds)``.

    The fence left for one never heard of stops a late prepare from holding locks until it has asked; no safeguard, a courtesy.
    """
    if txn in tables.get("prepared", {}) or txn in tables.get("queued", {}):
        return _finish(tables, config, now, txn, ABORTED)
    if not _verdict(tables, config, txn):
        remember(tables, txn, ABORTED)
    return ((), ())


def doubts(tables: Tables, config: Config, now: int, owner: str, older_than: int) -> Result:
    """``((txn, (txn, home, branch)), ...)``: those in doubt for more than ``older_than`` ms, at most 100, oldest first.

    They belong to no instance. Their clocks start anew, so that each is asked about in its turn. One that is as much from the
    future is in doubt as well: a clock was set back, and to ask is always safe. Those that wait for a lock are asked about as
    well: of some that were aborted meanwhile the message was lost, and each would hold the lock in its turn.
    """
    late = sorted(
        (record.since_ms, txn, state)
        for state in ("prepared", "queued")
        for txn, record in tables.get(state, {}).items()
        if abs(now - record.since_ms) > older_than
    )[:100]
    found = []
    for _, txn, state in late:
        record = tables[state][txn]
        tables[state][txn] = record._replace(since_ms=now)
        found.append((txn, (txn, record.home, record.branch)))
    return tuple(found)


# ---------------------------------------------------------------- what an operator sees


def list_txns(tables: Tables, config: Config, now: int) -> Result:
    """Everything that has not ended here, and fences left behind: ``((txn, state, order or branch, since), ...)``."""
    rows = []
    for state, subject in (("open", "subject"), ("committed", "subject"), ("prepared", "branch"), ("queued", "branch")):
        records = tables.get(state, {}).items()
        rows += [(txn, state, getattr(record, subject), record.since_ms) for txn, record in records]
    return tuple(sorted((*rows, *uncollected(tables, now))))


def txn_verdict(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """``(verdict,)`` that this participant's fence still keeps, or ``("",)``."""
    return (recall(tables, txn) or "",)


# ---------------------------------------------------------------- verdicts


def _finish(tables: Tables, config: Config, now: int, txn: str, verdict: str) -> tuple[Any, Any]:
    """Record the verdict, let go of everything, and decide for those who waited for these locks."""
    record = tables.get("prepared", {}).get(txn)
    remember(tables, txn, verdict)
    if record is None:
        locks.dequeue(tables, txn)
        return (), ()
    drop(tables, "prepared", txn)
    freed = locks.release(tables, config, txn, record.changes, verdict == "committed")
    return locks.grant(tables, config, now, freed)


def _verdict(tables: Tables, config: Config, txn: str) -> str:
    """What was decided: ``committed``, why not, ``conflict:stale`` (long over), or nothing."""
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
