"""The possible cost of an order whose lines were added at different prices."""

import pytest

from harness.checkers.totals import Line, possible_total

MANY = [Line(1, frozenset({1 << number})) for number in range(24)]
"""Additions of which only one is in the order. All their subsets would be too many for an exact judgement."""


@pytest.mark.parametrize(("total", "nearest"), [(64, 64), (65, 64), (1 << 30, 1 << 23)])
def test_lines_beyond_the_quantity_of_an_order_leave_its_cost_exact(total, nearest):
    assert possible_total({"i": 1}, {"i": MANY}, total) == nearest


def test_a_line_is_in_the_order_with_all_of_its_pieces_or_not_at_all():
    lines = [Line(2, frozenset({5})), Line(1, frozenset({7})), Line(1, frozenset({9}))]
    assert possible_total({"i": 2}, {"i": lines}, 17) == 16
    assert possible_total({"i": 3}, {"i": lines}, 18) == 17
