"""Every reachable state of small cases: the atomic checkout holds. Without a safeguard: ``test_ablations.py``."""

import pytest

from harness.explore.case import CASES, SearchCase, cases
from harness.explore.search import Bounds, Search
from harness.explore.space import Space
from protocols.lua_atomic import PROTOCOL

THREE_AT_ONCE = cases(transactions=3)


@pytest.mark.parametrize("crashes", [0, 2])
@pytest.mark.parametrize("case", [*CASES, *THREE_AT_ONCE], ids=lambda case: case.name)
def test_it_holds_in_every_state(case: SearchCase, crashes: int) -> None:
    found = Search(PROTOCOL, PROTOCOL.configure(), case, Bounds(crashes)).run()
    assert (found.violation, found.path) == ("", ())
    assert found.exhausted


def test_it_all_happens_in_one_place() -> None:
    assert Space(PROTOCOL, PROTOCOL.configure(), CASES[0]).names == ("order",)
