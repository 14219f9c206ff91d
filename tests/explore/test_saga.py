"""The searches of the saga alone: its early answer, and two instances. The others are in `test_every_state.py`."""

from dataclasses import replace

import pytest

from harness.explore.case import SearchCase
from tests.explore.exhaustive import ALONE, SHARED, TWICE, assert_holds


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.name)
def test_it_holds_if_a_checkout_is_answered_at_once(case: SearchCase) -> None:
    assert_holds("saga", case, crashes=1, reply="accepted")


@pytest.mark.slow
@pytest.mark.parametrize("case", [TWICE, SHARED], ids=lambda case: case.name)
def test_it_holds_with_two_instances_at_two_transactions(case: SearchCase) -> None:
    assert_holds("saga", replace(case, second_instance=True), crashes=0)
