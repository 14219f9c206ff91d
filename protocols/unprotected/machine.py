"""No protocol at all: the control that every checker must catch.

The first version of many shops: read the order, call the services one after the other, and compensate the completed calls from
memory if one call is rejected or has no answer. There is no log, no fence and no repetition:

1. A crash of the coordinator leaves the effects of all calls before it.
2. A call without an answer counts as rejected, although it may have taken effect.
3. A lost compensation is not repeated.

            READING --order--> CALLING --all done--> mark paid, acknowledge
                                  |
                                  +-- rejected, no answer --> compensate the completed calls, reject
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
    """Coordinator to participant: add ``delta`` to ``key``. ``call`` is a number, -1 for a compensation, which has no answer."""

    txn: str
    call: int
    key: str
    delta: int


class Changed(Struct, frozen=True, gc=False):
    """Participant to coordinator. ``why`` is empty for success."""

    txn: str
    call: int
    why: str


MESSAGES = (Change, Changed)

# ---------------------------------------------------------------- coordinator

Call = tuple[str, str, int]  # service, key, delta


class Calling(Struct, frozen=True, gc=False):
    """The volatile state of a checkout. ``calls`` are all calls for the order, those before ``current`` completed."""

    txn: str
    request: Request
    calls: tuple[Call, ...] = ()
    current: int = -1


def coordinator(config: Config, state: Calling | None, event: Event) -> tuple[Calling | None, Effects]:
    """Handle one event."""
    match state, event:
        case None, Start(txn, request):
            return Calling(txn, request), (Do(Command("read_order", (request.subject,))),)
        case Calling(current=-1), Done(Command("read_order"), ("open", branches)):
            calls = tuple((service, key, delta) for service, _, changes in branches for key, delta in changes)
            return _call(replace(state, calls=calls), 0)
        case Calling(current=-1), Done(Command("read_order"), ("paid",)):
            return None, (Reply(Outcome(Decision.COMMITTED)),)
        case Calling(current=-1), Done(Command("read_order"), (why,)):
            return None, (Reply(Outcome(Decision.REFUSED, Reason(why, f"order:{state.request.subject}"))),)
        case Calling(), Received(Changed(_, call, "")) if call == state.current:
            return _call(state, call + 1)
        case Calling(), Received(Changed(_, call, why)) if call == state.current:
            return _compensate(state, why)
        case Calling(), TimerFired("no answer"):
            return _compensate(state, "timeout")
        case Calling(), Done(Command("mark_paid")):
            return None, (Reply(Outcome(Decision.COMMITTED)),)
    return state, ()


def _call(state: Calling, number: int) -> tuple[Calling, Effects]:
    """Send call ``number``; after the last call, pay the order."""
    state = replace(state, current=number)
    if number == len(state.calls):
        return state, (Do(Command("mark_paid", (state.request.subject,))),)
    service, key, delta = state.calls[number]
    return state, (Send(service, Change(state.txn, number, key, delta)), SetTimer("no answer", ANSWER_WITHIN_MS))


def _compensate(state: Calling, why: str) -> tuple[None, Effects]:
    """Send one compensation for each completed call, and reject the checkout."""
    done = state.calls[: state.current]
    compensations = (Send(service, Change(state.txn, -1, key, -delta)) for service, key, delta in done)
    return None, (*compensations, Reply(Outcome(Decision.REFUSED, Reason.parse(why))))


# ---------------------------------------------------------------- participant


def participant(config: Config, state: None, event: Event) -> tuple[None, Effects]:
    """Handle one event. A participant has no volatile state."""
    match event:
        case Received(Change(txn, call, key, delta), sender):
            return None, (Do(Command("change", (txn, call, sender, key, delta))),)
        case Done(Command("change", (txn, call, sender, _, _)), (why,)) if call >= 0:
            return None, (Send(sender, Changed(txn, call, why)),)
    return None, ()
