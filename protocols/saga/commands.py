"""The store commands of a saga as pure functions: the twin of ``commands.lua``, command by command.

The orchestrator's tables, beside the orders (``protocols.shop.ledger_orders``):

- ``saga``         txn -> ``SagaRecord``                 the saga log: every saga that has not ended
- ``note:log``     txn -> ((at, event, branch, why), ...)  the lines that ``wdm txn show`` prints
- ``note:STATE``   slot -> ``EndedSaga``                 the same of the last sagas that ended ``paid`` or ``compensated``
- ``note:next``    state -> number of sagas that ended so

No command depends on the content of a ``note:`` table.

A branch's table, beside the accounts: for each transaction a tuple of ``Fence`` in the fences (``protocols.store.fences``).
"""

from typing import Any

from protocols.core import Config
from protocols.saga.records import EndedSaga, Entries, Fence, SagaRecord
from protocols.shop import ledger, ledger_orders
from protocols.store.fences import announce, collect, recall, remember, stale, uncollected
from protocols.store.keys import Keys, adopt
from protocols.store.lives import Point
from protocols.store.tables import Result, Tables, drop, table, waited

LINES = 48  # of a log; a longer one loses lines after the first ones
FIRST_LINES = 8
ENDED = 1_000  # the number of ended sagas with a kept log, for each state
LISTED = 100


# ---------------------------------------------------------------- orchestrator


def begin(
    tables: Tables, config: Config, now: int, txn: str, subject: str, owner: str, key: str = "", adopts: Keys = ()
) -> Result:
    """Write the start record, and take the order: ``("begun", branches)``, or a rejection as of ``ledger_orders.admit``.

    ``owner`` recovers a saga that checks the order out if a request with a key in ``adopts`` began it.
    """
    known = txn in tables.get("saga", {})
    branches, rejection = ledger_orders.admit(tables, config, subject, txn, key, known=known)
    if rejection:
        adopt(tables, "saga", ledger_orders.holder(tables, subject), adopts, owner)
        return rejection
    if not known and config.enabled("start-record"):
        ledger_orders.hold(tables, subject, txn)
        table(tables, "saga")[txn] = SagaRecord(subject, owner, now, "executing", branches, key, owner)
        first: Entries = (("perform", f"{branches[0][0]}/{branches[0][1]}", ""),) if branches else ()
        _append(tables, now, txn, (("begun", "", owner), *first))
    return ("begun", branches)


def confirm(tables: Tables, config: Config, now: int, txn: str, subject: str, entries: Entries) -> Result:
    """Pay the order, and end the saga: ``("paid",)``; ``("compensating",)`` after an abort, ``("gone",)`` after its end."""
    record: SagaRecord | None = tables.get("saga", {}).get(txn)
    if record is None:
        return _without_record(tables, config, subject, "paid")
    subject, state = record.subject, record.state
    if state == "executing" and ledger_orders.holder(tables, subject) != txn and config.enabled("order-lock"):
        state = "compensating"  # a batch_init has replaced the order
    if state == "compensating" and config.enabled("one-decision"):
        return _log_abort(tables, now, txn, entries)
    ledger_orders.settle(tables, subject)
    _delete(tables, now, txn, "paid", (*entries, ("paid", "", "")))
    return ("paid",)


def abort_saga(tables: Tables, config: Config, now: int, txn: str, subject: str, entries: Entries) -> Result:
    """Log the abort: ``("compensating",)``; ``("paid",)`` for a saga that ended paid, ``("gone",)`` after its compensation."""
    record = tables.get("saga", {}).get(txn)
    if record is None:
        return _without_record(tables, config, subject, "compensating")
    return _log_abort(tables, now, txn, entries)


def end(tables: Tables, config: Config, now: int, txn: str, entries: Entries) -> Result:
    """Delete the record of a compensated saga, and release its order."""
    record = tables.get("saga", {}).get(txn)
    if record is None:
        return ("ended",)
    if ledger_orders.holder(tables, record.subject) == txn:
        ledger_orders.hold(tables, record.subject, "")
    _delete(tables, now, txn, "compensated", entries)
    return ("ended",)


def note(tables: Tables, config: Config, now: int, txn: str, entries: Entries) -> Result:
    """Append lines to the log of a saga that has not ended."""
    if txn in tables.get("saga", {}):
        _append(tables, now, txn, entries)
    return ("noted",)


def unfinished(tables: Tables, config: Config, now: int, owner: str, older_than: int) -> Result:
    """Return ``((txn, (txn, subject, state, branches)), ...)`` of all sagas of ``owner`` and of older ones (ms) of any owner.

    Those of ``owner`` are the ones that it began or adopted.
    """
    rows = []
    for txn, record in tuple(tables.get("saga", {}).items()):
        if owner in (record.owner, record.adopter) or waited(tables, now, "saga", txn) > older_than:
            rows.append((txn, (txn, record.subject, record.state, record.branches)))
    return tuple(sorted(rows))


def _without_record(tables: Tables, config: Config, subject: str, wanted: str) -> Result:
    """Return the result for a saga that another instance has ended; a paid order counts as paid by any transaction."""
    state = ledger_orders.plan(tables, subject).state
    if config.enabled("start-record") or state in ledger_orders.NEVER:
        return ("paid",) if state == "paid" else ("gone",)
    if wanted == "paid":
        ledger_orders.settle(tables, subject)
    return (wanted,)


def _log_abort(tables: Tables, now: int, txn: str, entries: Entries) -> Result:
    """Change the state to ``compensating``, with a line in the log, unless an earlier command did."""
    record = tables["saga"][txn]
    if record.state != "compensating":
        tables["saga"][txn] = record._replace(state="compensating")
        _append(tables, now, txn, (*entries, ("compensating", "", "")))
    return ("compensating",)


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
    """Perform a step: ``(why,)``, empty if its effect is durable, now or earlier, else the reason of its final rejection."""
    announce(tables, txn, horizon)
    collect(tables, txn, horizon)
    if stale(tables, txn) and config.enabled("refuse-stale"):
        return ("conflict:stale",)
    fence = _fence(tables, txn, branch)
    if fence.verdict in ("compensated", "fenced"):
        return ("conflict:compensated",)
    if fence.verdict and config.enabled("replay-verdict"):
        return (fence.why,)
    why = ledger.check(tables, config, changes)
    _put_fence(tables, txn, Fence(branch, "rejected" if why else "performed", why, _with_lives(tables, changes)))
    if not why:
        ledger.apply(tables, changes)
    return (why,)


def compensate(tables: Tables, config: Config, now: int, txn: str, branch: str, sender: str) -> Result:
    """Compensate a step, or prevent it: ``("compensated",)``; ``("later", why)`` while an account has no room for the amount.

    A compensation skips an account that was created anew since the step: its new amount misses nothing that the step took.
    """
    if stale(tables, txn) and config.enabled("refuse-stale"):
        return ("compensated",)
    fence = _fence(tables, txn, branch)
    if fence.verdict == "performed" or (fence.verdict and not config.enabled("compensate-recorded")):
        same = not config.enabled("same-life")
        back = tuple((key, -delta) for key, delta, life in fence.changes if same or life == ledger.life(tables, key))
        full = ledger.check(tables, config, back)
        if full:
            return ("later", full)
        ledger.apply(tables, back)
        _put_fence(tables, txn, fence._replace(verdict="compensated", why=""))
    elif not fence.verdict and config.enabled("fence-compensation"):
        _put_fence(tables, txn, Fence(branch, "fenced"))
    return ("compensated",)


def _with_lives(tables: Tables, changes: ledger.Changes) -> tuple[tuple[str, int, int], ...]:
    """Return (key, delta, life of the account) for each change."""
    return tuple((key, delta, ledger.life(tables, key)) for key, delta in changes)


def _fence(tables: Tables, txn: str, branch: str) -> Fence:
    fences = (fence for fence in recall(tables, txn) or () if fence.branch == branch)
    return next(fences, Fence(branch))


def _put_fence(tables: Tables, txn: str, fence: Fence) -> None:
    others = tuple(other for other in recall(tables, txn) or () if other.branch != fence.branch)
    remember(tables, txn, (*others, fence))


# ---------------------------------------------------------------- lists and logs for operators


def list_txns(tables: Tables, config: Config, now: int) -> Result:
    """Return ``((txn, state, order, since), ...)`` of all sagas that have not ended, and of uncollected fences."""
    records = tables.get("saga", {}).items()
    sagas = ((txn, record.state, record.subject, record.since_ms) for txn, record in records)
    return tuple(sorted((*sagas, *uncollected(tables, now))))


def list_ended(tables: Tables, config: Config, now: int) -> Result:
    """Return rows as of ``list_txns`` for the last sagas that ended, the youngest first."""
    rows = [(state, ended) for state in ("paid", "compensated") for ended in tables.get(f"note:{state}", {}).values()]
    rows.sort(key=lambda row: (row[1].since_ms, row[1].txn), reverse=True)
    return tuple((ended.txn, state, ended.subject, ended.since_ms) for state, ended in rows[:LISTED])


def txn_verdict(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """Return ``(verdict,)`` from a kept log of an ended saga, else from the fences of its branches; ``("",)`` without either."""
    for state in ("paid", "compensated"):
        if any(ended.txn == txn for ended in tables.get(f"note:{state}", {}).values()):
            return (state,)
    return (", ".join(fence.verdict for fence in recall(tables, txn) or ()),)


def txn_log(tables: Tables, config: Config, now: int, txn: str) -> Result:
    """Return ``((at, event, branch, why), ...)``, ``at`` in milliseconds since the epoch; empty without a log."""
    for state in ("paid", "compensated"):
        for ended in tables.get(f"note:{state}", {}).values():
            if ended.txn == txn:
                return tuple(ended.log)
    return tuple(tables.get("note:log", {}).get(txn, ()))


def _extended_log(tables: Tables, now: int, txn: str, entries: Entries) -> tuple[Any, ...]:
    log = (*tables.get("note:log", {}).get(txn, ()), *((now, *entry) for entry in entries))
    return log if len(log) <= LINES else (*log[:FIRST_LINES], *log[FIRST_LINES - LINES :])


def _append(tables: Tables, now: int, txn: str, entries: Entries) -> None:
    table(tables, "note:log")[txn] = _extended_log(tables, now, txn, entries)


def _delete(tables: Tables, now: int, txn: str, state: str, entries: Entries) -> None:
    """Delete the record of a saga, and keep its log in place of the oldest one of that state."""
    record: SagaRecord = tables["saga"][txn]
    number = tables.get("note:next", {}).get(state, 0)
    table(tables, "note:next")[state] = number + 1
    ended = EndedSaga(txn, record.subject, record.since_ms, _extended_log(tables, now, txn, entries))
    table(tables, f"note:{state}")[str(number % ENDED)] = ended
    drop(tables, "note:log", txn)
    drop(tables, "saga", txn)


COMMANDS = {
    command.__name__: command
    for command in (
        begin,
        confirm,
        abort_saga,
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
