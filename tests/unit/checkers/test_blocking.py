"""The blocks of entities while a node is unavailable: their order, their explanation, and the nodes that an entity needs."""

import pytest

from harness.checkers import blocking
from harness.checkers.rejections import is_blocked
from harness.history import Operation
from tests.checkers import outages
from tests.checkers.history_builder import HistoryBuilder, a_run


def violations(middle):
    return blocking.check(a_run(middle=middle).history()).violations


def item_reads_blocked(builder: HistoryBuilder, _order: str) -> None:
    for _ in range(4):
        outages.held_up(builder, "find_item", "i1")


def test_the_longest_block_comes_first():
    item, *others = violations(outages.blocked_by_a_dead_instance)
    assert item.keys == ("item i1",)
    assert {violation.keys[0].partition(" ")[0] for violation in others} == {"user", "order"}


def test_a_run_without_a_block_has_figures_of_zero():
    figures = blocking.check(a_run().history()).figures
    assert figures["longest_away_s"] == 0
    assert set(figures["longest_blocked_s"].values()) == {0}


def test_the_unavailable_node_is_named_although_it_returns_with_the_last_answer():
    def middle(builder: HistoryBuilder) -> None:
        outages.nodes(builder)
        outages.node(builder, "order-1", "down")
        item_reads_blocked(builder, "")
        builder.now = builder.operations[-1].completed_ns // 1_000_000
        outages.node(builder, "order-1", "running", 2)

    (violation,) = violations(middle)
    assert "while order-1 stayed unavailable" in violation.explanation


@pytest.mark.parametrize(
    ("node", "names"),
    [
        ("payment-store", ["blocked-by-outage"]),
        ("stock-store", []),
        ("order-store", []),
        ("gateway", []),
    ],
)
def test_a_read_of_an_item_needs_the_stores_of_stock_and_coordinator_and_the_gateway(node, names):
    found = violations(lambda builder: outages.away(builder, item_reads_blocked, node))
    assert [violation.name for violation in found] == names


@pytest.mark.parametrize(
    ("outcome", "status", "blocked"),
    [
        ("unknown", 400, True),
        ("unknown", 499, True),
        ("unknown", 500, False),
        ("unknown", 399, False),
        ("unknown", 424, False),
        ("unknown", 503, True),
        ("fail", 409, True),
        ("ok", 409, False),
    ],
)
def test_a_lock_in_the_text_of_an_answer_counts_if_the_status_is_a_refusal(outcome, status, blocked):
    answer = Operation(1, "find_item", ["i1"], 0, 1, outcome, "locked by transaction 7.1", status=status)
    assert is_blocked(answer) == blocked
