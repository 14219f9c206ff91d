"""The reductions change no verdict, no shortest path and no reachable node states."""

from dataclasses import fields, replace
from functools import cache

import pytest

from harness.explore.case import ONE, SHORT, SHORT_TWO_INSTANCES, TWO_INSTANCES, SearchCase, cases
from harness.explore.moves import ALL, NONE, Reductions
from harness.explore.node import freeze
from harness.explore.search import Bounds, Search
from harness.explore.space import NodeState
from protocols.two_phase import PROTOCOL

CASES_OF_ONE = (ONE, SHORT, SHORT_TWO_INSTANCES)
WITHOUT_ONE = tuple(replace(ALL, **{one.name: False}) for one in fields(Reductions))
SAFEGUARDS = [safeguard.name for safeguard in PROTOCOL.safeguards if safeguard.searched]
QUICK_SHARED = {"guard", "deadlock-policy", "escrow-record"}
"""Safeguards that two concurrent transactions need; the full search of the others takes longer, and is a slow test."""
BOTH_AT_ONCE, SHARED_BY_ONE, IN_TURN = cases(1, 2)  # one participant: small enough for a search without any reduction


def judged(
    case: SearchCase, crashes: int, reductions: Reductions, *ablate: str
) -> tuple[str, int, set[tuple[NodeState, ...]]]:
    """Return the violated invariant, the length of its path, and without a violation the reachable node states."""
    search = Search(PROTOCOL, PROTOCOL.configure(ablate=ablate), case, Bounds(crashes), reductions)
    found = search.run()
    assert not found.limit
    nodes = range(len(search.space.nodes))
    reached = (
        set()
        if found.violation
        else {tuple(search.space.node_state(at, node_states[at]) for at in nodes) for node_states in search.reached}
    )
    return found.invariant, len(found.path), reached


@cache
def reduced(case: SearchCase, crashes: int, *ablate: str) -> tuple[str, int, set[tuple[NodeState, ...]]]:
    """Return the result of `judged` with every reduction, computed once."""
    return judged(case, crashes, ALL, *ablate)


@pytest.mark.parametrize("without", [*WITHOUT_ONE, NONE], ids=str)
@pytest.mark.parametrize(
    ("case", "crashes"), [(ONE, 2), (SHORT, 2), (IN_TURN, 1), (TWO_INSTANCES, 1), (SHORT_TWO_INSTANCES, 2)], ids=str
)
def test_what_is_left_out_is_nowhere_new(case: SearchCase, crashes: int, without: Reductions) -> None:
    assert judged(case, crashes, without) == reduced(case, crashes)


@pytest.mark.parametrize("safeguard", SAFEGUARDS)
@pytest.mark.parametrize("case", CASES_OF_ONE, ids=lambda case: case.name)
def test_what_is_left_out_hides_no_violation(case: SearchCase, safeguard: str) -> None:
    assert judged(case, 1, NONE, safeguard) == judged(case, 1, ALL, safeguard)


@pytest.mark.parametrize(
    "safeguard", [pytest.param(name, marks=[] if name in QUICK_SHARED else [pytest.mark.slow]) for name in SAFEGUARDS]
)
def test_what_is_left_out_hides_no_violation_of_two_transactions(safeguard: str) -> None:
    assert judged(SHARED_BY_ONE, 1, NONE, safeguard) == judged(SHARED_BY_ONE, 1, ALL, safeguard)


def test_what_is_only_written_down_makes_no_state_of_its_own() -> None:
    tables = {"order:o": {"paid": 1}}
    assert freeze(tables) == freeze({**tables, "note:log": {"c0.0": "begun"}})
