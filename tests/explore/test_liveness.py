"""Liveness: the messages in flight are lost, no deadline fires, and every transaction still ends."""

from typing import Any

import pytest
from msgspec.structs import replace

from harness.explore.case import ONE, SHARED, SHORT, SearchCase
from harness.explore.search import Bounds, Search, SearchResult
from protocols.core import CancelTimer, Config, Effects, Event, Protocol, Role, SetTimer, TimerFired
from protocols.two_phase import PROTOCOL


def altered(service: str, change: Any) -> Protocol:
    """Two-phase commit with another step function for one service: ``change(event, effects)`` gives its effects."""
    role = PROTOCOL.roles[service]

    def step(config: Config, state: Any, event: Event) -> tuple[Any, Effects]:
        state, effects = role.step(config, state, event)
        return state, change(event, effects)

    return replace(
        PROTOCOL, roles={**PROTOCOL.roles, service: Role(role.name, step, role.recovery, role.orphan_age_ms)}
    )


def search(protocol: Protocol, case: SearchCase, crashes: int = 0) -> SearchResult:
    return Search(protocol, protocol.configure(), case, Bounds(crashes)).run()


def without(*names: str) -> Any:
    """No timers of these names."""
    return lambda _, effects: tuple(
        effect for effect in effects if not (isinstance(effect, SetTimer | CancelTimer) and effect.name in names)
    )


def test_a_message_without_a_retry_is_missed() -> None:
    """Though it is still in the network of the search, where it could be delivered: it may as well have been lost."""
    found = search(altered("order", without("resend")), ONE)
    assert found.invariant == "unfinished"
    assert [step.kind for step in found.path] == ["start"]


def test_a_timer_that_is_not_set_again_has_fired_once() -> None:
    def once(event: Event, effects: Effects) -> Effects:
        again = isinstance(event, TimerFired) and event.name == "resend"
        return tuple(effect for effect in effects if not (again and isinstance(effect, SetTimer)))

    found = search(altered("order", once), ONE)
    assert found.invariant == "unfinished"
    assert [(step.kind, step.what) for step in found.path] == [("start", "o"), ("timer", "resend")]


@pytest.mark.parametrize("case", [ONE, SHORT, SHARED], ids=lambda case: case.name)
def test_no_transaction_needs_its_deadline(case: SearchCase) -> None:
    """Without a deadline it ends as well: no transaction waits for ever for one that waits."""
    found = search(altered("order", without("deadline")), case)
    assert found.exhausted


def test_what_never_ends_is_named() -> None:
    config = PROTOCOL.configure(ablate=("deadlock-policy",))
    found = Search(PROTOCOL, config, SHARED, Bounds(crashes=0)).run()
    assert found.violation.endswith("(order: order~1.0, order~1.1; stock: order~1.0; payment: order~1.1)")
