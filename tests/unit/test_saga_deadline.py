"""A saga whose time is up before its start record has been confirmed: the simulator found it, the search cannot see it."""

from protocols.core import Command, Do, Done, Persist, Request, Start, TimerFired
from protocols.saga import PROTOCOL
from protocols.saga.machine import orchestrator


def test_every_step_is_compensated_as_another_instance_may_have_recovered_the_saga() -> None:
    config = PROTOCOL.configure()
    state, (_, began) = orchestrator(config, None, Start("t.0", Request("o", "order", "order-1", 0)))
    assert isinstance(began, Do)
    state, effects = orchestrator(config, state, TimerFired("deadline"))
    assert state is not None
    assert effects == (), "not ended: its record may be durable, and nothing prevents its steps yet"
    begun = Done(began.command, ("begun", (("stock", 0, (("item:i", -1),)), ("payment", 0, (("user:u", -1),)))))
    state, (force,) = orchestrator(config, state, begun)
    assert force == Persist(Command("abort_saga", ("t.0", "o", (("deadline", "", ""),))))
    state, effects = orchestrator(config, state, Done(force.command, ("compensating",)))
    assert state is not None
    assert state.branch == "payment/0"
