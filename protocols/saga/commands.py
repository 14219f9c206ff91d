"""The store's side of a saga as pure functions: the twin of ``commands.lua``, command by command.

The orchestrator's tables, beside the orders (``protocols.shop.ledger``):

- ``saga``         txn -> ``Logged``                     the saga log
- ``note:log``     txn -> ((at, what, branch, why), ...)   what happened so far, for whoever asks
- ``note:STATE``   slot -> ``Ended``                     that of the last sagas that ended paid, or undone
- ``note:next``    state -> how many of them there were

No command decides anything by a note.

A branch's, beside the accounts: for each transaction a tuple of ``Fence`` in the fences (``protocols.store.fences``).
"""

from typing import Any

from protocols.core import Config
from protocols.saga.records import Ended, Entries, Fence, Logged
from protocols.shop import ledger
from protocols.store.fences import announce, collect, recall, remember, stale, uncollected
from protocols.store.lives import Point
from protocols.store.tables import Result, Tables, drop, table, waited

LINES = 48  # of a log; in one that grows longer the middle is left out
FIRST_LINES = 8
ENDED = 1_000  # logs that are kept, of each kind
LISTED = 100


# ---------------------------------------------------------------- orchestrator


def begin(tables: Tables, config: Config, now: int, txn: str, subject: str, owner: str) -> Result:
    """The start record, and the order taken: ``("begun", branches)``, ``("paid",)``, ``("busy", txn)``, ``("no", why)``."""
    state, branches, holder = ledger.plan(tables, subject)
    if state == "paid":
        return ("paid",)
    if state in ledger.NEVER:
        return ("no", f"{state}:order:{subject}")
    if holder not in ("", txn) and config.enabled("order-lock"):
        return ("busy", holder)
    known = txn in tables.get("saga", {})
    if not known and ledger.begun(tables, subject, txn) and config.enabled("begin-once"):
        return ("busy", txn)  # a late copy: it is over
    if not known and config.enabled("start-record"):
        ledger.hold(tables, subject, txn)
        table(tables, "saga")[txn] = Logged(subject, owner, now, "running", branches)
        first: Entries = (("perform", f"{branches[0][0]}/{branches[0][1]}", ""),) if branches else ()
        _note(tables, now, txn, (("begun", "", owner), *first))
    return ("begun", branches)


def confirm(tables: Tables, config: Config, now: int, txn: str, subject: str, entries: Entries) -> Result:
    """The order is paid, and it is over: ``("paid",)``; else ``("undoing",)`` or, if that is over as well, ``("gone",)``."""
    record: Logged | None = tables.get("saga", {}).get(txn)
    if record is None:
        return _without_record(tables, config, subject, "paid")
    subject, state = record.subject, record.state
    if state == "running" and ledger.holder(tables, subject) != txn and config.enabled("order-lock"):
        state = "undoing"  # the order was set anew meanwhile
    if state == "undoing" and config.enabled("one-decision"):
        return _turn(tables, now, txn, entries)
    ledger.settle(tables, subject)
    _forget(tables, now, txn, "paid", (*entries, ("paid", "", "")))
    return ("paid",)


def give_up(tables: Tables, config: Config, now: int, txn: str, subject: str, entries: Entries) -> Result:
    """From now on it is undone: ``("undoing",)``; ``("paid",)`` if it is too late for that, ``("gone",)`` if that is over."""
    record = tables.get("saga", {}).get(txn)
    if record is None:
        return _without_record(tables, config, subject, "undoing")
    return _turn(tables, now, txn, entries)


def end(tables: Tables, config: Config, now: int, txn: str, entries: Entries) -> Result:
    """Forget it: nothing is left of it, and the order is free."""
    record = tables.get("saga", {}).get(txn)
    if record is None:
        return ("ended",)
    if ledger.holder(tables, record.subject) == txn:
        ledger.hold(tables, record.subject, "")
    _forget(tables, now, txn, "undone", entries)
    return ("ended",)


def note(tables: Tables, config: Config, now: int, txn: str, entries: Entries) -> Result:
    """More lines for the log of a saga that has not ended."""
    if txn in tables.get("saga", {}):
        _note(tables, now, txn, entries)
    return ("noted",)


def unfinished(tables: Tables, config: Config, now: int, owner: str, older_than: int) -> Result:
    """``((txn, (txn, subject, state, branches)), ...)``: those of ``owner``, and anybody's that are older (ms)."""
    found = []
    for txn, record in tuple(tables.get("saga", {}).items()):
        if record.owner == owner or waited(tables, now, "saga", txn) > older_than:
            found.append((txn, (txn, record.subject, record.state, record.branches)))
    return tuple(sorted(found))


def _without_record(tables: Tables, config: Config, subject: str, wanted: str) -> Result:
    """Another instance has ended the saga. Whoever paid the order: it is paid, once."""
    state = ledger.plan(tables, subject).state
    if config.enabled("start-record") or state in ledger.NEVER:
        return ("paid",) if state == "paid" else ("gone",)
    if wanted == "paid":
        ledger.settle(tables, subject)
    return (wanted,)


def _turn(tables: Tables, now: int, txn: str, entries: Entries) -> Result:
    """Log that it turns round, unless that is there already."""
    record = tables["saga"][txn]
    if record.state != "undoing":
        tables["saga"][txn] = record._replace(state="undoing")
        _note(tables, now, txn, (*entries, ("undoing", "", "")))
    return ("undoing",)


# ---------------------------------------------------------------- branch


def perform(
    tables: Tables,
    config: Config,
    now: int,
    txn: str,
    branch: str,
    horizon: Point,
    changes: ledger.Changes,
    sender: str,
) -> Result:
    """``(why,)``: empty if it is done, now or earlier; else why it never will be."""
    announce(tables, txn, horizon)
    collect(tables, txn, horizon)
    if stale(tables, txn) and config.enabled("refuse-stale"):
        return ("conflict:stale",)
    fence = _fence(tables, txn, branch)
    if fence.verdict in ("undone", "fenced"):
        return ("conflict:undone",)
    if fence.verdict and config.enabled("replay-verdict"):
        return (fence.why,)
    why = ledger.check(tables, config, changes)
    _put_fence(tables, txn, Fence(branch, "failed" if why else "done", why, _marked(tables, changes)))
    if not why:
        ledger.apply(tables, changes)
    return (why,)


def compensate(tables: Tables, config: Config, now: int, txn: str, branch: str, sender: str) -> Result:
    """``("undone",)``, now or earlier or because nothing was done; ``("later", why)`` while what comes back has no room.

    An account that was set anew since is what somebody wants it to be: nothing that was taken before is missing there.
    """
    if stale(tables, txn) and config.enabled("refuse-stale"):
        return ("undone",)
    fence = _fence(tables, txn, branch)
    if fence.verdict == "done" or (fence.verdict and not config.enabled("undo-recorded")):
        same = not config.enabled("same-life")
        back = tuple((key, -delta) for key, delta, life in fence.marked if same or life == ledger.life(tables, key))
        full = ledger.check(tables, config, back)
        if full:
            return ("later", full)
        ledger.apply(tables, back)
        _put_fence(tables, txn, fence._replace(verdict="undone", why=""))
    elif not fence.verdict and config.enabled("fence-undo"):
        _put_fence(tables, txn, Fence(branch, "fenced"))
    return ("undone",)


def _marked(tables: Tables, changes: ledger.Changes) -> tuple[tuple[str, int, int], ...]:
    return tuple((key, delta, ledger.life(tables, key)) for key, delta in changes)


def _fence(tables: Tables, txn: str, branch: str) -> Fence:
    found = (fence for fence in recall(tables, txn) or () if fence.branch == branch)
    return next(found, Fence(branch))


def _put_fence(tables: Tables, txn: str, fence: Fence) -> None:
    others = tuple(other for other in recall(tables, txn) or () if other.branch != fence.branch)
    remember(tables, txn, (*others, fence))


# ---------------------------------------------------------------- what an operator sees


def list_txns(tables: Tables, config: Config, now: int) -> Result:
    """Everything that has not ended here, and fences left behind: ``((txn, state, order, since), ...)``."""
    records = tables.get("saga", {}).items()
    sagas = ((txn, record.state, record.subject, record.since_ms) for txn, record in records)
    return tuple(sorted((*sagas, *uncollected(tables, now))))


def list_ended(tables: Tables, config: Config, now: int) -> Result:
    """The last that ended here, as ``list_txns``, the youngest first."""
    notes = [(state, ended) for state in ("paid", "undone") for ended in tables.get(f"note:{state}", {}).values()]
    notes.sort(key=lambda noted: (noted[1].since_ms, noted[1].txn), reverse=True)
    return tuple((ended.txn, state, ended.subject, ended.since_ms) for state, ended in notes[:LISTED])


def txn_verdict(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """``(verdict,)``: how it ended, as far as the shelf reaches, or what this branch's fence says; ``("",)`` if neither knows."""
    for state in ("paid", "undone"):
        if any(ended.txn == txn for ended in tables.get(f"note:{state}", {}).values()):
            return (state,)
    return (", ".join(fence.verdict for fence in recall(tables, txn) or ()),)


def txn_log(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """``((at, what, branch, why), ...)``, ``at`` in milliseconds since the epoch; empty if nothing is known."""
    for state in ("paid", "undone"):
        for ended in tables.get(f"note:{state}", {}).values():
            if ended.txn == txn:
                return tuple(ended.log)
    return tuple(tables.get("note:log", {}).get(txn, ()))


def _log_with(tables: Tables, now: int, txn: str, entries: Entries) -> tuple[Any, ...]:
    log = (*tables.get("note:log", {}).get(txn, ()), *((now, *entry) for entry in entries))
    return log if len(log) <= LINES else (*log[:FIRST_LINES], *log[FIRST_LINES - LINES :])


def _note(tables: Tables, now: int, txn: str, entries: Entries) -> None:
    table(tables, "note:log")[txn] = _log_with(tables, now, txn, entries)


def _forget(tables: Tables, now: int, txn: str, state: str, entries: Entries) -> None:
    """Nothing is left to do. Keep the log in place of the oldest of its kind."""
    record: Logged = tables["saga"][txn]
    number = tables.get("note:next", {}).get(state, 0)
    table(tables, "note:next")[state] = number + 1
    ended = Ended(txn, record.subject, record.since_ms, _log_with(tables, now, txn, entries))
    table(tables, f"note:{state}")[str(number % ENDED)] = ended
    drop(tables, "note:log", txn)
    drop(tables, "saga", txn)


COMMANDS = {
    command.__name__: command
    for command in (
        begin,
        confirm,
        give_up,
        end,
        note,
        unfinished,
        perform,
        compensate,
        list_txns,
        list_ended,
        txn_verdict,
        txn_log,
    )
}
