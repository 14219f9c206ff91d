"""The unprotected control is violated in the search: without it a search without violations would be no evidence."""

import pytest

from harness.explore.case import CASES, ONE, SearchCase
from harness.explore.search import Bounds, Search
from harness.explore.transcript import walk
from protocols.unprotected import PROTOCOL

BOUGHT = (
    "start order",
    "deliver stock Change",
    "deliver order Changed(order~1.0, 0",
    "deliver payment Change",
    "deliver order Changed(order~1.0, 1",
)


@pytest.mark.parametrize("crashes", [0, 1])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_breaks(case: SearchCase, crashes: int) -> None:
    found = Search(PROTOCOL, PROTOCOL.configure(), case, Bounds(crashes)).run()
    assert found.invariant == "uncommitted effect"
    assert len(found.path) == 2


def test_without_faults_it_sells_exactly_the_stock() -> None:
    """Its checks are right as far as they go: it is the crash and the lost message that it has no answer to."""
    search = Search(PROTOCOL, PROTOCOL.configure(), ONE, Bounds(crashes=0))
    path = walk(search, BOUGHT)
    assert path[-1].effects[-1] == "reply to the client: committed"
