"""Every reachable state of small cases: the atomic checkout holds. Without a safeguard: `test_ablations.py`."""

import pytest

from harness.explore.case import CASES, SearchCase, cases
from harness.explore.space import Space
from protocols.lua_atomic import PROTOCOL
from tests.explore.exhaustive import assert_holds

THREE_TRANSACTIONS = cases(transactions=3)


@pytest.mark.parametrize("crashes", [0, 2])
@pytest.mark.parametrize("case", [*CASES, *THREE_TRANSACTIONS], ids=lambda case: case.name)
def test_it_holds_in_every_state(case: SearchCase, crashes: int) -> None:
    assert_holds("lua", case, crashes)


def test_one_service_executes_the_whole_checkout() -> None:
    assert Space(PROTOCOL, PROTOCOL.configure(), CASES[0]).names == ("order",)
