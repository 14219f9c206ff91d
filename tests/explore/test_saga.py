"""Every reachable state of small cases: the saga holds. What happens without a safeguard: ``test_ablations.py``."""

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
)
from harness.explore.search import Bounds, Search
from protocols.saga import PROTOCOL

ALONE = (ONE, SHORT, TWO_INSTANCES, SHORT_TWO_INSTANCES)
TOGETHER = (TWICE, SHARED, ONE_AFTER_ANOTHER)


def holds(case: SearchCase, crashes: int, reply: str = "wait") -> None:
    found = Search(PROTOCOL, PROTOCOL.configure({"reply": reply}), case, Bounds(crashes)).run()
    assert (found.violation, found.path) == ("", ())
    assert found.exhausted


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_holds_in_every_state(case: SearchCase) -> None:
    holds(case, crashes=1)


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.name)
def test_it_holds_with_two_crashes(case: SearchCase) -> None:
    holds(case, crashes=2)


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.name)
def test_it_holds_if_a_checkout_is_answered_at_once(case: SearchCase) -> None:
    holds(case, crashes=1, reply="accepted")


@pytest.mark.slow
@pytest.mark.parametrize("case", TOGETHER, ids=lambda case: case.name)
def test_it_holds_with_two_instances_at_two_transactions(case: SearchCase) -> None:
    holds(replace(case, second_instance=True), crashes=0)
