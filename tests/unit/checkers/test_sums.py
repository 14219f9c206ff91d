"""Subset sums: exact where the amounts are kind, bounded and honest where they are not."""

import sys
from collections import Counter
from itertools import combinations
from random import Random

import pytest

from harness.checkers import atomicity, conservation, sums
from harness.checkers.finding import Verdict
from harness.checkers.sums import EXACT_SUMS, Slack, subset

HARD = [10**9 + 7 * n * n for n in range(40)]


def every_sum(amounts):
    return {sum(chosen) for size in range(len(amounts) + 1) for chosen in combinations(amounts, size)}


def judged_by(way, amounts):
    """A `Slack` of these amounts that knows its sums in one way only."""
    slack = Slack(amounts)
    if way != "enumerated":
        slack._sums = None
        slack._bitmap, slack._chain = sums._bitmap(slack._counts) if way == "bitmap" else None, way == "chain"
    return slack


@pytest.mark.parametrize("way", ["enumerated", "bitmap", "chain"])
def test_each_way_to_compute_the_possible_sums_is_exact(way):
    dice = Random(way)
    for _ in range(300):
        signs, sizes = (1, -1), [1, 2, 4, 8, 32] if way == "chain" else range(1, 10)
        amounts = [dice.choice(signs) * dice.choice(sizes) for _ in range(dice.randint(0, 6))]
        slack, possible = judged_by(way, amounts), every_sum(amounts)
        for surplus in range(-40, 41):
            nearest = min(possible, key=lambda total: (abs(surplus - total), -total))
            assert slack.off(surplus) == surplus - nearest


def test_many_ways_to_few_sums_are_enumerated():
    """80 times 2 and 80 times 3 are 6,561 choices but 399 sums; of millions, they have no bitmap and are no chain."""
    amounts = [2_000_000] * 80 + [3_000_000] * 80
    slack = Slack(amounts)
    assert slack.exact
    assert [slack.off(surplus) for surplus in (0, 1_000_000, 5_000_001)] == [0, -1_000_000, 1]


@pytest.mark.parametrize(
    ("twos", "threes", "exact"), [(127, 128, True), (130, 140, False)], ids=["as-much-work-as-is-done", "more"]
)
def test_the_work_for_few_sums_has_a_bound(twos, threes, exact):
    assert Slack([2_000_000] * twos + [3_000_000] * threes).exact is exact


@pytest.mark.parametrize(("count", "exact"), [(12, True), (13, False)])
def test_as_many_different_sums_as_the_bound_are_enumerated(count, exact):
    assert Slack([(10**6 << power) + 1 for power in range(count)]).exact is exact


def test_amounts_that_divide_each_other_are_exact_however_many():
    slack = Slack([10**6 << power for power in range(20)])
    assert slack.exact
    assert [slack.off(10**6 * 777_777 + more) for more in (0, 3, 600_000)] == [0, 3, -400_000]


def test_a_bitmap_has_a_bound_on_its_size_and_on_its_work(monkeypatch):
    bits = sums.BITMAP_BITS
    for counts, small in (({bits: 1}, True), ({bits + 1: 1}, False), ({bits // 2 + 1: 2}, False)):
        assert (sums._bitmap(Counter(counts)) is not None) is small
    counts = Counter(dict.fromkeys(range(1, 100), 4))  # 4 pieces take 3 steps
    work = 4 * sum(range(1, 100)) * 3 * 99
    for bound, small in ((work, True), (work - 1, False)):
        monkeypatch.setattr(sums, "BITMAP_WORK", bound)
        assert (sums._bitmap(counts) is not None) is small


@pytest.mark.parametrize(("count", "parts"), [(1, [1]), (2, [1, 1]), (7, [1, 2, 4]), (10, [1, 2, 4, 3])])
def test_a_count_is_split_into_powers_of_two_and_a_rest(count, parts):
    assert list(sums._binary_parts(count)) == parts


def test_amounts_that_are_not_positive_are_in_no_subset():
    assert subset([0, -3, 3, 4], 3) == ([2], True)


def test_many_equal_amounts_are_a_division():
    many = list(range(3 * EXACT_SUMS))
    assert subset([1] * len(many), len(many)) == (many, True)


@pytest.mark.parametrize(("count", "tried_all"), [(12, True), (13, False)])
def test_as_many_totals_as_the_bound_are_tried(count, tried_all):
    assert subset([1 << power for power in range(count)], 1 << count) == ([], tried_all)


def test_a_subset_is_found_where_there_is_one():
    dice = Random(1)
    for _ in range(500):
        amounts = [dice.randint(1, 12) for _ in range(dice.randint(0, 8))]
        target = dice.randint(1, 40)
        found, tried_all = subset(amounts, target)
        assert tried_all
        assert bool(found) == (target in every_sum(amounts))
        assert sum(amounts[position] for position in found) == (target if found else 0)
        assert len(set(found)) == len(found)


def steps(amounts, target):
    """Lines of `sums.py` that are executed."""
    count = 0

    def trace(frame, event, _):
        nonlocal count
        count += event == "line"
        return trace if frame.f_code.co_filename == sums.__file__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        subset(amounts, target)
        Slack(amounts).off(target)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize("most", [1, 40, 10**9])
def test_the_work_grows_no_faster_than_the_orders(most):
    dice = Random(most)
    few, many = ([dice.randint(1, most) for _ in range(size)] for size in (500, 2_000))
    target = sum(few) // 2 + 1
    assert steps(many, target) < 6 * steps(few, target) < 500 * 20 * EXACT_SUMS


def checkouts_of(run, amounts, outcome, credit):
    run.item("7", 10**12, price=1)
    run.user("1", 10**12)
    for number, each in enumerate(amounts):
        run.order(f"o{number}", "1", ("7", each))
        run.op("checkout", f"o{number}", outcome=outcome, process=100 + number)
    run.phase("final")
    run.see_user("1", credit)
    run.see_item("7", 10**12 - (0 if outcome == "fail" else sum(amounts)))
    return run


def test_a_balance_that_could_only_be_bounded_is_unknown(run):
    """Each order may be paid or not, its final read failed, and there are too many sums to try."""
    history = checkouts_of(run, HARD, "unknown", 10**12 - 5 * 10**9).history()
    for checker in (atomicity, conservation):
        finding = checker.check(history)
        assert finding.verdict == Verdict.UNKNOWN
        assert any("only the bounds of user 1" in reason for reason in finding.reasons)


def test_beyond_the_bound_no_explanation_is_excluded(run):
    checkouts_of(run, HARD, "fail", 10**12 - 20 * 10**9)
    for number, each in enumerate(HARD):
        run.see_order(f"o{number}", "1", ("7", each), paid=False, total=each)
    (violation,) = atomicity.check(run.history()).violations
    assert violation.name == "unexplained-credit"
    assert "too many orders to try" in violation.explanation
