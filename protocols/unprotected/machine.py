"""No protocol at all: the control that every checker must catch.

What a first version of such a shop does: read the order, call the services one after the other, and when one refuses or does not
answer, undo from memory what the others have already done. Nothing is logged, nothing is fenced, nothing is repeated:

1. A crash of the coordinator leaves whatever had been called so far.
2. No answer is taken for a refusal, whether the call was carried out or not.
3. An undo that is lost is lost.

            READING --order--> CALLING --all done--> mark paid, tell yes
                                  |
                                  +-- a refusal, no answer --> undo what answered, tell no
"""

from msgspec import Struct
from msgspec.structs import replace

from protocols.core import (
    Command,
    Config,
    Do,
    Done,
    Effects,
    Event,
    Received,
    Reply,
    Request,
    Send,
    SetTimer,
    Start,
    TimerFired,
)
from protocols.outcomes import Decision, Outcome, Reason

ANSWER_WITHIN_MS = 2_000

# ---------------------------------------------------------------- messages


class Change(Struct, frozen=True, gc=False):
    """Add ``delta`` to ``key``. ``call`` is its number within the transaction, -1 for an undo: no answer is wanted."""

    txn: str
    call: int
    key: str
    delta: int


class Changed(Struct, frozen=True, gc=False):
    """``why`` is empty if it was done."""

    txn: str
    call: int
    why: str


MESSAGES = (Change, Changed)

# ---------------------------------------------------------------- coordinator

Call = tuple[str, str, int]  # service, key, delta


class Calling(Struct, frozen=True, gc=False):
    """``calls`` are all that the order needs; those before ``at`` were answered with yes, ``at`` is under way."""

    txn: str
    request: Request
    calls: tuple[Call, ...] = ()
    at: int = -1


def coordinator(config: Config, state: Calling | None, event: Event) -> tuple[Calling | None, Effects]:
    match state, event:
        case None, Start(txn, request):
            return Calling(txn, request), (Do(Command("read_order", (request.subject,))),)
        case Calling(at=-1), Done(Command("read_order"), ("open", branches)):
            calls = tuple((service, key, delta) for service, _, changes in branches for key, delta in changes)
            return _call(replace(state, calls=calls), 0)
        case Calling(at=-1), Done(Command("read_order"), ("paid",)):
            return None, (Reply(Outcome(Decision.COMMITTED)),)
        case Calling(at=-1), Done(Command("read_order"), (why,)):
            return None, (Reply(Outcome(Decision.REFUSED, Reason(why, f"order:{state.request.subject}"))),)
        case Calling(), Received(Changed(_, call, "")) if call == state.at:
            return _call(state, call + 1)
        case Calling(), Received(Changed(_, call, why)) if call == state.at:
            return _undo(state, why)
        case Calling(), TimerFired("no answer"):
            return _undo(state, "timeout")
        case Calling(), Done(Command("mark_paid")):
            return None, (Reply(Outcome(Decision.COMMITTED)),)
    return state, ()


def _call(state: Calling, at: int) -> tuple[Calling, Effects]:
    state = replace(state, at=at)
    if at == len(state.calls):
        return state, (Do(Command("mark_paid", (state.request.subject,))),)
    service, key, delta = state.calls[at]
    return state, (Send(service, Change(state.txn, at, key, delta)), SetTimer("no answer", ANSWER_WITHIN_MS))


def _undo(state: Calling, why: str) -> tuple[None, Effects]:
    done = state.calls[: state.at]
    undos = (Send(service, Change(state.txn, -1, key, -delta)) for service, key, delta in done)
    return None, (*undos, Reply(Outcome(Decision.REFUSED, Reason.parse(why))))


# ---------------------------------------------------------------- participant


def participant(config: Config, state: None, event: Event) -> tuple[None, Effects]:
    match event:
        case Received(Change(txn, call, key, delta), sender):
            return None, (Do(Command("change", (txn, call, sender, key, delta))),)
        case Done(Command("change", (txn, call, sender, _, _)), (why,)) if call >= 0:
            return None, (Send(sender, Changed(txn, call, why)),)
    return None, ()
