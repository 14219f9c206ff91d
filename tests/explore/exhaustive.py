"""The search of every reachable state of a small case, as the tests of several protocols run it."""

from harness.explore.case import (
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
from protocols import registry

ALONE = (ONE, SHORT, TWO_INSTANCES, SHORT_TWO_INSTANCES)
"""The cases of one transaction."""

TOGETHER = (TWICE, SHARED, ONE_AFTER_ANOTHER)
"""The cases of two transactions."""


def assert_holds(protocol: str, case: SearchCase, crashes: int, **options: str) -> None:
    """Assert that the search visits every state within the bound on crashes and finds no violation."""
    loaded = registry.load(protocol)
    result = Search(loaded, loaded.configure(options), case, Bounds(crashes)).run()
    assert (result.violation, result.path) == ("", ())
    assert result.exhausted
