"""A saga whose time is up before its start record has been confirmed: the simulator found it, the search cannot see it."""

from protocols.core import Command, Do, Done, Persist, Request, Start, TimerFired
from protocols.saga import PROTOCOL
from protocols.saga.machine import orchestrator


def test_it_is_undone_step_by_step_for_another_instance_may_have_taken_it_up() -> None:
    config = PROTOCOL.configure()
    state, (_, asked) = orchestrator(config, None, Start("t.0", Request("o", "order", "order-1", 0)))
    assert isinstance(asked, Do)
    state, effects = orchestrator(config, state, TimerFired("deadline"))
    assert state is not None
    assert effects == (), "not ended: its record may be durable, and nothing forbids its steps yet"
    begun = Done(asked.command, ("begun", (("stock", 0, (("item:i", -1),)), ("payment", 0, (("user:u", -1),)))))
    state, (force,) = orchestrator(config, state, begun)
    assert force == Persist(Command("give_up", ("t.0", "o", (("deadline", "", ""),))))
    state, effects = orchestrator(config, state, Done(force.command, ("undoing",)))
    assert state is not None
    assert state.branch == "payment/0"
