"""An account is set anew during a checkout: whatever the protocol, a compensation never adds to the new balance.

Two-phase commit holds its locks, or its reserved amounts, until the decision, so no reset comes before; a saga without its
safeguard returned an amount to the new balance that it had taken from the old one.
"""

from dataclasses import replace

import pytest

from harness.explore.case import ANEW, SearchCase
from harness.explore.search import Bounds, Search
from protocols.registry import load
from protocols.two_phase import PROTOCOL as TWO_PHASE
from tests.runtimes import EVERY_PROTOCOL

LOCKS = next(option.choices for option in TWO_PHASE.options if option.name == "locks")
CONFIGURED = [
    *((name, {}) for name in EVERY_PROTOCOL if name != "2pc"),
    *(("2pc", {"locks": locks}) for locks in LOCKS),
]
ENOUGH = replace(ANEW, name="one checkout, set anew", accounts=(ANEW.accounts[0], replace(ANEW.accounts[1], balance=3)))


@pytest.mark.parametrize(("name", "options"), CONFIGURED, ids=str)
@pytest.mark.parametrize(
    "case", [ANEW, ENOUGH, replace(ANEW, late_commands=True)], ids=lambda case: f"{case.name}, {case.late_commands}"
)
def test_what_is_set_anew_gets_nothing_back(name: str, options: dict[str, str], case: SearchCase) -> None:
    protocol = load(name)
    found = Search(protocol, protocol.configure(options), case, Bounds(crashes=1)).run()
    assert (found.violation, found.exhausted) == ("", True)


def test_it_is_set_anew_once_and_in_mid_checkout() -> None:
    protocol = load("saga")
    search = Search(protocol, protocol.configure(), ANEW, Bounds(crashes=0))
    after = [state for step, state in search.successors(search.initial) if step.kind == "anew"]
    assert len(after) == 1
    assert not [step for step, _ in search.successors(after[0]) if step.kind == "anew"]


def test_without_the_rule_more_is_there_than_was_set() -> None:
    protocol = load("saga")
    found = Search(protocol, protocol.configure({}, ("same-life",)), ANEW, Bounds(crashes=0)).run()
    assert found.violation.startswith("conservation: item:0 had 3")
    assert "anew" in [step.kind for step in found.path]
