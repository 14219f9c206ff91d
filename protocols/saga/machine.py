"""An orchestrated saga with fenced steps.

After Garcia-Molina and Salem, "Sagas", SIGMOD 1987 ("GMS" below): section 2 for compensating transactions, section 4 for the saga
log and backward recovery, section 5 for forward recovery; for the fences after Helland, "Life beyond distributed transactions",
CIDR 2007 (the recipient of a message recognizes its repetition).

1. The start record, with the steps, is durable before the first step is requested (GMS, 4). The log and the order share one
   store, and one atomic command writes a record together with its effect on the order.
2. Steps run in sequence: each branch, then the payment of the order. The last one is the commit point: no compensation follows.
3. A rejected step aborts the saga: its earlier steps are compensated. A step without an answer is neither performed nor
   rejected: the request is repeated, with a pause that doubles, until an answer arrives or the deadline aborts the saga. Then
   every step is compensated, because any of them may have been performed.
4. The abort is durable before the first compensation (GMS, 4). "Paid" and "compensating" exclude each other in the log, so
   instances that run one saga at the same time agree on the first decision.
5. Compensations run in reverse, one after the other, each until its acknowledgement (GMS, 4). A branch never rejects one.
6. A branch has a fence for each (transaction, branch): it repeats its stored result instead of its effect, it compensates
   only the recorded effect, and a compensation without a step prevents the step.
7. The record of a saga is deleted after its payment, or after its last compensation. Messages may be lost, doubled, delayed
   and reordered: every handler may run twice.

        BEGINNING --begun--> EXECUTING --all performed, paid--> (ended)
          |    |               |  ^ next step
          |    +--deadline-----+--rejected, deadline--> COMPENSATING --all compensated--> (ended)
          +--no--> (ended)

A difference from GMS: there a crash aborts a saga, or a save-point limits how far it falls back. Here recovery repeats the steps
from the first one, as the fences make each repetition harmless: forward recovery with a save-point before every step (GMS, 5).
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from protocols.core import (
    Branch,
    Command,
    Config,
    Do,
    Done,
    Effects,
    Event,
    Persist,
    Received,
    Recovered,
    Reply,
    Request,
    Send,
    SetTimer,
    Start,
    TimerFired,
)
from protocols.outcomes import Decision, Outcome

LONGEST_PAUSE_MS = 2_000

Entry = tuple[str, str, str]
"""One line of the saga log: event, branch, reason. The store adds the time."""

# ---------------------------------------------------------------- messages


class Perform(Struct, frozen=True, gc=False):
    """Orchestrator to branch: perform these changes once. ``horizon``: see Request."""

    txn: str
    branch: str
    horizon: tuple[int, int]
    changes: tuple[tuple[str, int], ...]


class Performed(Struct, frozen=True, gc=False):
    """Branch to orchestrator. ``why`` is empty for success, else the reason of the rejection: ``short:KEY``, ``conflict:...``."""

    txn: str
    branch: str
    why: str


class Compensate(Struct, frozen=True, gc=False):
    """Orchestrator to branch: return the effects of the step, or prevent it."""

    txn: str
    branch: str


class Compensated(Struct, frozen=True, gc=False):
    """Branch to orchestrator: the compensation is durable here."""

    txn: str
    branch: str


MESSAGES = (Perform, Performed, Compensate, Compensated)

# ---------------------------------------------------------------- orchestrator


class Phase(StrEnum):
    BEGINNING = "beginning"
    EXECUTING = "executing"
    COMPENSATING = "compensating"


class Saga(Struct, frozen=True, gc=False):
    """The volatile state of one saga at an instance that runs it.

    ``step`` is the index in ``branches`` of the step under way, ``pause_ms`` the time until its request is repeated. ``why``: the
    reason of the abort. ``replied``: the client has its answer.
    """

    txn: str
    request: Request
    phase: Phase
    branches: tuple[Branch, ...] = ()
    step: int = 0
    pause_ms: int = 0
    why: str = ""
    replied: bool = False

    @property
    def branch(self) -> str:
        return self.branches[self.step].name if self.step < len(self.branches) else ""


def orchestrator(config: Config, state: Saga | None, event: Event) -> tuple[Saga | None, Effects]:
    """Handle one event. An event that the phase does not expect is late or doubled, and changes nothing."""
    if state is None:
        return _without_state(config, event)
    return _HANDLERS[state.phase](config, state, event)


def _without_state(config: Config, event: Event) -> tuple[Saga | None, Effects]:
    match event:
        case Start(txn, request):
            command = Command("begin", (txn, request.subject, request.owner, request.key, request.adopts))
            return Saga(txn, request, Phase.BEGINNING), (SetTimer("deadline", request.limit_ms), Do(command))
        case Recovered((txn, subject, "executing", branches)):
            saga = _recovered(config, Phase.EXECUTING, txn, subject, branches)
            state, effects = _execute(config, saga, ("recovered", "", ""))
            return state, (SetTimer("deadline", saga.request.limit_ms), *effects)
        case Recovered((txn, subject, "compensating", branches)):
            saga = _recovered(config, Phase.COMPENSATING, txn, subject, branches)
            return _compensate(config, replace(saga, step=len(branches) - 1), ("recovered", "", ""))
    return None, ()


def _recovered(config: Config, phase: Phase, txn: str, subject: str, branches: Iterable[Any]) -> Saga:
    request = Request(subject, "", "", 0)
    return Saga(txn, request, phase, _branches(branches), pause_ms=config.timing.retry_ms, replied=True)


def _while_beginning(config: Config, state: Saga, event: Event) -> tuple[Saga | None, Effects]:
    match event:
        case Done(Command("begin"), ("begun", branches)) if state.why == "timeout":
            late = replace(state, phase=Phase.EXECUTING, branches=_branches(branches), step=len(branches) - 1)
            return _abort_saga(config, late, ("deadline", "", ""))
        case Done(Command("begin"), ("begun", branches)):
            return _begin_execution(config, state, branches)
        case Done(Command("begin"), ("paid",)):
            return None, (Reply(Outcome(Decision.COMMITTED)),)
        case Done(Command("begin"), ("busy", holder)):
            return None, (Reply(Outcome.rejected(f"busy:{holder}")),)
        case Done(Command("begin"), ("no", why)):
            return None, (Reply(Outcome.rejected(why)),)
        case TimerFired("deadline"):
            # The start record may be durable already, and another instance at the steps: the result has the steps to compensate.
            return replace(state, why="timeout"), ()
    return state, ()


def _while_executing(config: Config, state: Saga, event: Event) -> tuple[Saga | None, Effects]:
    match event:
        case Received(Performed(_, branch, "")) if branch == state.branch:
            following = replace(state, step=state.step + 1, pause_ms=config.timing.retry_ms)
            return _execute(config, following, ("performed", branch, ""))
        case Received(Performed(_, branch, why)) if branch == state.branch:
            return _abort_saga(config, replace(state, step=state.step - 1, why=why), ("rejected", branch, why))
        case Done(Command("confirm" | "abort_saga"), ("paid",)):
            return None, _reply(state, Outcome(Decision.COMMITTED))
        case Done(Command("confirm" | "abort_saga"), ("gone",)):
            return None, _reply(state, Outcome.rejected("conflict:ended"))
        case Done(Command("abort_saga"), ("compensating",)):
            return _begin_compensation(config, state)
        case Done(Command("confirm"), ("compensating",)):
            return _begin_compensation(config, replace(state, step=state.step - 1, why="conflict:compensated"))
        case TimerFired("deadline"):
            # All steps: the one under way may have been performed, and later ones by a former life or another instance.
            last = len(state.branches) - 1 if config.enabled("compensate-unknown") else state.step - 1
            return _abort_saga(config, replace(state, step=last, why="timeout"), ("deadline", "", ""))
        case TimerFired("resend"):
            return _resend(state)
    return state, ()


def _while_compensating(config: Config, state: Saga, event: Event) -> tuple[Saga | None, Effects]:
    match event:
        case Received(Compensated(_, branch)) if branch == state.branch:
            following = replace(state, step=state.step - 1, pause_ms=config.timing.retry_ms)
            return _compensate(config, following, ("compensated", branch, ""))
        case TimerFired("deadline") if not state.replied:
            return replace(state, replied=True), _reply(state, Outcome.rejected(state.why))
        case TimerFired("resend"):
            return _resend(state)
    return state, ()


_HANDLERS = {
    Phase.BEGINNING: _while_beginning,
    Phase.EXECUTING: _while_executing,
    Phase.COMPENSATING: _while_compensating,
}


def _begin_execution(config: Config, state: Saga, branches: Iterable[Any]) -> tuple[Saga | None, Effects]:
    """Request the first step, as the start record is durable; with ``--reply accepted``, answer the client."""
    accepted = config.options["reply"] == "accepted"
    reply = _reply(state, Outcome(Decision.ACCEPTED)) if accepted else ()
    first = replace(
        state, phase=Phase.EXECUTING, branches=_branches(branches), pause_ms=config.timing.retry_ms, replied=accepted
    )
    # The command `begin` has already logged the request of the first step.
    after, effects = _send_request(first) if first.branches else _execute(config, first)
    return after, (*reply, *effects)


def _execute(config: Config, state: Saga, *entries: Entry) -> tuple[Saga | None, Effects]:
    """Request the step under way; after the last step, pay the order."""
    if state.step < len(state.branches):
        return _send_request(state, *entries, ("perform", state.branch, ""))
    force = Persist(Command("confirm", (state.txn, state.request.subject, entries)))
    if not config.enabled("force-confirm"):
        return state, (*_reply(state, Outcome(Decision.COMMITTED)), force)
    return state, (force,)


def _abort_saga(config: Config, state: Saga, *entries: Entry) -> tuple[Saga | None, Effects]:
    """Log the abort, for compensations from the step under way back to the first; without a performed step, end the saga.

    The log has the abort before any compensation runs, as a crash in between would otherwise continue the saga (GMS, 4).
    """
    if state.step < 0:
        return _end(state, *entries)
    force = Persist(Command("abort_saga", (state.txn, state.request.subject, entries)))
    if not config.enabled("force-abort"):
        after, effects = _begin_compensation(config, state)
        return after, (*effects, force)
    return state, (force,)


def _begin_compensation(config: Config, state: Saga) -> tuple[Saga | None, Effects]:
    """Request the first compensation, as the abort is durable; at the deadline, answer the client without waiting for the end."""
    late = state.why == "timeout"
    reply = _reply(state, Outcome.rejected(state.why)) if late else ()
    back = replace(state, phase=Phase.COMPENSATING, replied=state.replied or late, pause_ms=config.timing.retry_ms)
    after, effects = _compensate(config, back)
    return after, (*reply, *effects)


def _compensate(config: Config, state: Saga, *entries: Entry) -> tuple[Saga | None, Effects]:
    """Request the compensation under way; after that of the first step, end the saga."""
    if state.step < 0:
        return _end(state, *entries)
    state, effects = _send_request(state, *entries, ("compensate", state.branch, ""))
    if not config.enabled("end-after-compensations"):
        rest = (Send(branch.service, Compensate(state.txn, branch.name)) for branch in state.branches[: state.step])
        _, ended = _end(state)
        return None, (*effects, *rest, *ended)
    return state, effects


def _send_request(state: Saga, *entries: Entry) -> tuple[Saga, Effects]:
    """Send the request of the step or compensation under way, for the first time or again, and log it."""
    branch, request = state.branches[state.step], state.request
    if state.phase is Phase.EXECUTING:
        send = Send(branch.service, Perform(state.txn, branch.name, request.horizon, branch.changes))
    else:
        send = Send(branch.service, Compensate(state.txn, branch.name))
    noted = (Do(Command("note", (state.txn, entries))),) if entries else ()
    return state, (*noted, send, SetTimer("resend", state.pause_ms, spread_ms=state.pause_ms))


def _resend(state: Saga) -> tuple[Saga, Effects]:
    pause_ms = min(2 * state.pause_ms, LONGEST_PAUSE_MS)
    return _send_request(replace(state, pause_ms=pause_ms), ("no answer", state.branch, ""))


def _end(state: Saga, *entries: Entry) -> tuple[None, Effects]:
    """End the saga without effects: release the order, delete the record, and answer the client."""
    return None, (Do(Command("end", (state.txn, entries))), *_reply(state, Outcome.rejected(state.why)))


def _reply(state: Saga, outcome: Outcome) -> Effects:
    return () if state.replied else (Reply(outcome),)


def _branches(records: Iterable[Any]) -> tuple[Branch, ...]:
    return tuple(Branch(*record) for record in records)


# ---------------------------------------------------------------- branch


def branch(config: Config, state: None, event: Event) -> tuple[None, Effects]:
    """Handle one event. A branch has no volatile state: its fences are in its store, so any instance can serve."""
    match event:
        case Received(Perform(txn, name, horizon, changes), sender):
            force = Persist(Command("perform", (txn, name, horizon, changes, sender)))
            if not config.enabled("force-step"):
                return None, (Send(sender, Performed(txn, name, "")), force)
            return None, (force,)
        case Done(Command("perform", (txn, name, _, _, sender)), (why,)) if config.enabled("force-step"):
            return None, (Send(sender, Performed(txn, name, why)),)

        case Received(Compensate(txn, name), sender):
            force = Persist(Command("compensate", (txn, name, sender)))
            if not config.enabled("force-compensation"):
                return None, (Send(sender, Compensated(txn, name)), force)
            return None, (force,)
        case Done(Command("compensate", (txn, name, sender)), ("compensated",)) if config.enabled("force-compensation"):
            return None, (Send(sender, Compensated(txn, name)),)
    return None, ()
