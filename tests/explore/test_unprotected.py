"""The control breaks, and the search says how: without it a search that finds nothing says nothing."""

import pytest

from harness.explore.case import ONE, SHARED, SHORT, Case
from harness.explore.search import Bounds, Search
from protocols.unprotected import PROTOCOL


@pytest.mark.parametrize(
    ("case", "bounds", "what"),
    [
        (ONE, Bounds(crashes=1), "atomicity"),
        (ONE, Bounds(crashes=0), "atomicity"),
        (SHORT, Bounds(crashes=0), "atomicity"),
        (SHARED, Bounds(crashes=0), "atomicity"),
    ],
)
def test_it_breaks(case: Case, bounds: Bounds, what: str) -> None:
    found = Search(PROTOCOL, PROTOCOL.configure(), case, bounds).run()
    assert found.violation.startswith(what)


def test_undisturbed_it_sells_what_it_says() -> None:
    """Its checks are right as far as they go: it is the crash and the lost message that it has no answer to."""
    from harness.explore.transcript import walk

    search = Search(PROTOCOL, PROTOCOL.configure(), ONE, Bounds(crashes=0))
    path = walk(
        search,
        (
            "start order",
            "deliver stock Change",
            "deliver order Changed(c0.0, 0",
            "deliver payment Change",
            "deliver order Changed(c0.0, 1",
        ),
    )
    assert path[-1].effects[-1] == "tell the client: committed"
