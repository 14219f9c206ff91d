"""An orchestrated saga with fenced steps.

The rules, after Garcia-Molina and Salem, "Sagas", SIGMOD 1987, sections 2 to 5 (backward recovery, the saga log), and for the
fences Helland, "Life beyond distributed transactions", CIDR 2007 (what may be said twice must be recognised):

1. The start record, with the steps, is durable before the first step is asked for. The log and the order are one store, and
   a record and what it says of the order are written by one atomic command.
2. Steps go one after the other: each branch, then the order is paid. The last one decides: from there is no way back.
3. A step that is refused turns the saga round: what came before it is compensated. A step without an answer is neither done
   nor refused: it is asked for again, ever less often, until it answers, or the deadline turns the saga round; then every
   step is compensated, for nobody knows which were done.
4. That a saga turns round is durable before the first compensation. "Paid" and "undoing" exclude each other in the log, so
   instances that run the same saga at once agree, whichever of them is first.
5. Compensations go in reverse, one after the other, each until it is acknowledged. They are never refused.
6. A branch knows each (transaction, branch) by its fence: it repeats its verdict instead of its effect, it undoes what it
   has recorded and nothing else, and to undo what was never done forbids to do it.
7. A saga is forgotten once all is paid, or all is undone. Messages may be lost, doubled, delayed and reordered.

        BEGINNING --begun--> FORWARD --all done, paid--> (ended)
          |    |               |  ^ next step
          |    +--deadline-----+--refused, deadline--> BACKWARD --all undone--> (ended)
          +--no--> (ended)
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
"""One line of the saga log: what, which branch, why. The store adds when."""

# ---------------------------------------------------------------- messages


class Perform(Struct, frozen=True, gc=False):
    """Orchestrator to branch: do this once. ``horizon``: see Request."""

    txn: str
    branch: str
    horizon: tuple[int, int]
    changes: tuple[tuple[str, int], ...]


class Performed(Struct, frozen=True, gc=False):
    """``why`` is empty if it was done, else ``short:KEY``, ``missing:KEY``, ..., or ``conflict:...`` if it may not be now."""

    txn: str
    branch: str
    why: str


class Compensate(Struct, frozen=True, gc=False):
    txn: str
    branch: str


class Compensated(Struct, frozen=True, gc=False):
    txn: str
    branch: str


MESSAGES = (Perform, Performed, Compensate, Compensated)

# ---------------------------------------------------------------- orchestrator


class Phase(StrEnum):
    BEGINNING = "beginning"
    FORWARD = "forward"
    BACKWARD = "backward"


class Saga(Struct, frozen=True, gc=False):
    """What an instance knows of a saga that it runs.

    ``at`` is the branch under way, an index of ``branches``; ``pause_ms`` is how long its answer is waited for. ``why``: the
    reason to turn round. ``told``: the client has had its answer.
    """

    txn: str
    request: Request
    phase: Phase
    branches: tuple[Branch, ...] = ()
    at: int = 0
    pause_ms: int = 0
    why: str = ""
    told: bool = False

    @property
    def branch(self) -> str:
        return self.branches[self.at].name if self.at < len(self.branches) else ""


def orchestrator(config: Config, state: Saga | None, event: Event) -> tuple[Saga | None, Effects]:
    """One step of the orchestrator. An event that its phase does not expect is late or doubled, and changes nothing."""
    match state:
        case None:
            return _at_rest(config, event)
        case Saga(phase=Phase.FORWARD):
            return _while_forward(config, state, event)
        case Saga(phase=Phase.BEGINNING):
            return _while_beginning(config, state, event)
    return _while_backward(config, state, event)


def _at_rest(config: Config, event: Event) -> tuple[Saga | None, Effects]:
    match event:
        case Start(txn, request):
            ask = Command("begin", (txn, request.subject, request.owner))
            return Saga(txn, request, Phase.BEGINNING), (SetTimer("deadline", request.limit_ms), Do(ask))
        case Recovered((txn, subject, "running", branches)):
            saga = _taken_up(config, Phase.FORWARD, txn, subject, branches)
            state, effects = _forward(config, saga, ("taken up", "", ""))
            return state, (SetTimer("deadline", saga.request.limit_ms), *effects)
        case Recovered((txn, subject, "undoing", branches)):
            saga = _taken_up(config, Phase.BACKWARD, txn, subject, branches)
            return _backward(config, replace(saga, at=len(branches) - 1), ("taken up", "", ""))
    return None, ()


def _taken_up(config: Config, phase: Phase, txn: str, subject: str, branches: Iterable[Any]) -> Saga:
    request = Request(subject, "", "", 0)
    return Saga(txn, request, phase, _branches(branches), pause_ms=config.timing.retry_ms, told=True)


def _while_beginning(config: Config, state: Saga, event: Event) -> tuple[Saga | None, Effects]:
    match event:
        case Done(Command("begin"), ("begun", branches)) if state.why == "timeout":
            late = replace(state, phase=Phase.FORWARD, branches=_branches(branches), at=len(branches) - 1)
            return _turn_round(config, late, ("deadline", "", ""))
        case Done(Command("begin"), ("begun", branches)):
            return _set_out(config, state, branches)
        case Done(Command("begin"), ("paid",)):
            return None, (Reply(Outcome(Decision.COMMITTED)),)
        case Done(Command("begin"), ("busy", holder)):
            return None, (Reply(Outcome.rejected(f"busy:{holder}")),)
        case Done(Command("begin"), ("no", why)):
            return None, (Reply(Outcome.rejected(why)),)
        case TimerFired("deadline"):
            # The start record may be there already, and another instance at the steps: the answer says what to undo.
            return replace(state, why="timeout"), ()
    return state, ()


def _while_forward(config: Config, state: Saga, event: Event) -> tuple[Saga | None, Effects]:
    match event:
        case Received(Performed(_, branch, "")) if branch == state.branch:
            further = replace(state, at=state.at + 1, pause_ms=config.timing.retry_ms)
            return _forward(config, further, ("performed", branch, ""))
        case Received(Performed(_, branch, why)) if branch == state.branch:
            return _turn_round(config, replace(state, at=state.at - 1, why=why), ("refused", branch, why))
        case Done(Command("confirm" | "give_up"), ("paid",)):
            return None, _tell(state, Outcome(Decision.COMMITTED))
        case Done(Command("confirm" | "give_up"), ("gone",)):
            return None, _tell(state, Outcome.rejected("conflict:ended"))
        case Done(Command("give_up"), ("undoing",)):
            return _set_back(config, state)
        case Done(Command("confirm"), ("undoing",)):
            return _set_back(config, replace(state, at=state.at - 1, why="conflict:undone"))
        case TimerFired("deadline"):
            # All steps: the one at hand may have been done, and a former life or another instance may be further.
            last = len(state.branches) - 1 if config.enabled("undo-unknown") else state.at - 1
            return _turn_round(config, replace(state, at=last, why="timeout"), ("deadline", "", ""))
        case TimerFired("resend"):
            return _ask_again(state)
    return state, ()


def _while_backward(config: Config, state: Saga, event: Event) -> tuple[Saga | None, Effects]:
    match event:
        case Received(Compensated(_, branch)) if branch == state.branch:
            further = replace(state, at=state.at - 1, pause_ms=config.timing.retry_ms)
            return _backward(config, further, ("compensated", branch, ""))
        case TimerFired("deadline") if not state.told:
            return replace(state, told=True), _tell(state, Outcome.rejected(state.why))
        case TimerFired("resend"):
            return _ask_again(state)
    return state, ()


def _set_out(config: Config, state: Saga, branches: Iterable[Any]) -> tuple[Saga | None, Effects]:
    """The start record is durable: ask for the first step. Who wanted no more than that is answered."""
    accepted = config.options["reply"] == "accepted"
    told = _tell(state, Outcome(Decision.ACCEPTED)) if accepted else ()
    first = replace(
        state, phase=Phase.FORWARD, branches=_branches(branches), pause_ms=config.timing.retry_ms, told=accepted
    )
    # The start record says already that the first step is asked for.
    after, effects = _ask(first) if first.branches else _forward(config, first)
    return after, (*told, *effects)


def _forward(config: Config, state: Saga, *entries: Entry) -> tuple[Saga | None, Effects]:
    """Ask for the step at hand. Once there is none left, the order is paid: all of it has happened."""
    if state.at < len(state.branches):
        return _ask(state, *entries, ("perform", state.branch, ""))
    force = Persist(Command("confirm", (state.txn, state.request.subject, entries)))
    if not config.enabled("force-confirm"):
        return state, (*_tell(state, Outcome(Decision.COMMITTED)), force)
    return state, (force,)


def _turn_round(config: Config, state: Saga, *entries: Entry) -> tuple[Saga | None, Effects]:
    """Decide to undo all up to the branch at hand; where nothing can have been done, it is over."""
    if state.at < 0:
        return _end(state, *entries)
    force = Persist(Command("give_up", (state.txn, state.request.subject, entries)))
    if not config.enabled("force-turn"):
        after, effects = _set_back(config, state)
        return after, (*effects, force)
    return state, (force,)


def _set_back(config: Config, state: Saga) -> tuple[Saga | None, Effects]:
    """That it turns round is durable, so "no" is true. The client hears it once all is undone, or now if it has no time left."""
    late = state.why == "timeout"
    told = _tell(state, Outcome.rejected(state.why)) if late else ()
    back = replace(state, phase=Phase.BACKWARD, told=state.told or late, pause_ms=config.timing.retry_ms)
    after, effects = _backward(config, back)
    return after, (*told, *effects)


def _backward(config: Config, state: Saga, *entries: Entry) -> tuple[Saga | None, Effects]:
    """Ask for the compensation at hand. Once there is none left, the saga has ended and the order is free."""
    if state.at < 0:
        return _end(state, *entries)
    state, effects = _ask(state, *entries, ("compensate", state.branch, ""))
    if not config.enabled("end-after-undone"):
        rest = (Send(branch.service, Compensate(state.txn, branch.name)) for branch in state.branches[: state.at])
        _, ended = _end(state)
        return None, (*effects, *rest, *ended)
    return state, effects


def _ask(state: Saga, *entries: Entry) -> tuple[Saga, Effects]:
    """Ask, once more or for the first time, and note it."""
    branch, request = state.branches[state.at], state.request
    if state.phase is Phase.FORWARD:
        send = Send(branch.service, Perform(state.txn, branch.name, request.horizon, branch.changes))
    else:
        send = Send(branch.service, Compensate(state.txn, branch.name))
    noted = (Do(Command("note", (state.txn, entries))),) if entries else ()
    return state, (*noted, send, SetTimer("resend", state.pause_ms, spread_ms=state.pause_ms))


def _ask_again(state: Saga) -> tuple[Saga, Effects]:
    pause_ms = min(2 * state.pause_ms, LONGEST_PAUSE_MS)
    return _ask(replace(state, pause_ms=pause_ms), ("no answer", state.branch, ""))


def _end(state: Saga, *entries: Entry) -> tuple[None, Effects]:
    """Nothing of it is left: free the order, and forget it."""
    return None, (Do(Command("end", (state.txn, entries))), *_tell(state, Outcome.rejected(state.why)))


def _tell(state: Saga, outcome: Outcome) -> Effects:
    return () if state.told else (Reply(outcome),)


def _branches(found: Iterable[Any]) -> tuple[Branch, ...]:
    return tuple(Branch(*branch) for branch in found)


# ---------------------------------------------------------------- branch


def branch(config: Config, state: None, event: Event) -> tuple[None, Effects]:
    """One step of a branch. It keeps nothing volatile: what it knows is its fence, so any instance can serve."""
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
            if not config.enabled("force-undo"):
                return None, (Send(sender, Compensated(txn, name)), force)
            return None, (force,)
        case Done(Command("compensate", (txn, name, sender)), ("undone",)) if config.enabled("force-undo"):
            return None, (Send(sender, Compensated(txn, name)),)
    return None, ()
