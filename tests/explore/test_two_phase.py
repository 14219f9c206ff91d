"""Every reachable state of small cases: two-phase commit holds. What happens without a safeguard: ``test_ablations.py``."""

from dataclasses import replace

import pytest

from harness.explore.case import (
    CASES,
    ONE,
    ONE_AFTER_ANOTHER,
    SHARED,
    SHORT,
    SHORT_TWO_INSTANCES,
    TWICE,
    TWO_INSTANCES,
    SearchCase,
    cases,
)
from harness.explore.search import Bounds, Search
from protocols.two_phase import PROTOCOL

ALONE = (ONE, SHORT, TWO_INSTANCES, SHORT_TWO_INSTANCES)
TOGETHER = (TWICE, SHARED, ONE_AFTER_ANOTHER)


def holds(case: SearchCase, crashes: int, locks: str = "wait-die") -> None:
    found = Search(PROTOCOL, PROTOCOL.configure({"locks": locks}), case, Bounds(crashes)).run()
    assert (found.violation, found.path) == ("", ())
    assert found.exhausted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_holds_in_every_state(case: SearchCase) -> None:
    holds(case, crashes=1)


@pytest.mark.parametrize(
    "case", [*ALONE, *(pytest.param(case, marks=pytest.mark.slow) for case in TOGETHER)], ids=lambda case: case.name
)
def test_it_holds_with_two_crashes(case: SearchCase) -> None:
    holds(case, crashes=2)


@pytest.mark.parametrize("participants", [1, 3])
@pytest.mark.parametrize("case", [0, 1])
def test_it_holds_for_any_number_of_participants(participants: int, case: int) -> None:
    holds(cases(participants, 1)[case], crashes=1)


@pytest.mark.parametrize("locks", ["no-wait", "wound-wait", "escrow"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_holds_with_the_other_lock_policies(locks: str, case: SearchCase) -> None:
    holds(case, crashes=0, locks=locks)


@pytest.mark.parametrize("case", [ONE, SHORT, SHARED], ids=lambda case: case.name)
def test_what_is_set_aside_holds_with_a_crash(case: SearchCase) -> None:
    holds(case, crashes=1, locks="escrow")


@pytest.mark.slow
@pytest.mark.parametrize("locks", ["no-wait", "wound-wait", "escrow"])
@pytest.mark.parametrize("case", TOGETHER, ids=lambda case: case.name)
def test_it_holds_with_the_other_lock_policies_and_a_crash(locks: str, case: SearchCase) -> None:
    holds(case, crashes=1, locks=locks)


@pytest.mark.slow
@pytest.mark.parametrize("case", TOGETHER, ids=lambda case: case.name)
def test_it_holds_with_two_instances_at_two_transactions(case: SearchCase) -> None:
    holds(replace(case, second_instance=True), crashes=1)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(3, 2)[1:], ids=lambda case: case.name)
def test_it_holds_for_three_participants_and_two_transactions(case: SearchCase) -> None:
    holds(case, crashes=1)
