"""Credit and stock are neither made nor lost, and never negative."""

import pytest

from harness.checkers import conservation
from harness.checkers.finding import Verdict
from harness.checkers.sums import EXACT_SUMS, Slack


def found(run):
    return sorted(violation.name for violation in conservation.check(run.history()).violations)


@pytest.mark.parametrize(
    ("end", "names"),
    [
        ({}, []),
        ({"credit": 100, "stock": 20, "paid": False}, []),
        ({"credit": 91}, ["credit-created"]),
        ({"credit": 89}, ["credit-destroyed"]),
        ({"stock": 19}, ["stock-created"]),
        ({"stock": 17}, ["stock-destroyed"]),
        ({"paid": False}, ["credit-destroyed", "stock-destroyed"]),
        (
            {"credit": -1, "stock": -2},
            ["credit-destroyed", "negative-credit", "negative-stock", "stock-destroyed"],
        ),
    ],
)
def test_the_sums_at_the_end(checkout_run, end, names):
    assert found(checkout_run(**end)) == names


def test_a_shift_between_users_keeps_the_sum(run):
    run.user("1", 10)
    run.user("2", 10)
    run.phase("final")
    run.see_user("1", 5)
    run.see_user("2", 15)
    assert found(run) == []
    run.see_user("2", 14)
    assert found(run) == ["credit-destroyed"]


def test_a_negative_read_at_any_time_counts(checkout_run):
    run = checkout_run(end=False)
    read = run.see_item("7", -1)
    (violation,) = conservation.check(run.history()).violations
    assert (violation.name, violation.evidence) == ("negative-stock", (read,))


def test_payments_and_withdrawals_count(run):
    run.user("1", 50)
    run.item("7", 9)
    run.op("pay", "1", 20)
    run.op("pay", "1", 500, outcome="fail")
    run.op("subtract_stock", "7", 4)
    run.phase("final")
    run.see_user("1", 30)
    run.see_item("7", 5)
    assert found(run) == []
    run.see_user("1", 50)
    assert found(run) == ["credit-created"]


@pytest.mark.parametrize(("credit", "fine"), [(50, True), (53, True), (45, True), (48, True), (55, False), (51, False)])
def test_unknown_effects_are_any_subset(run, credit, fine):
    run.user("1", 50)
    run.op("add_funds", "1", 3, outcome="unknown", process=1)
    run.op("pay", "1", 5, outcome="unknown", process=2)
    run.phase("final")
    run.see_user("1", credit)
    assert (found(run) == []) == fine


def test_many_unknown_effects_are_judged_exactly():
    few = Slack([4] * 100)
    assert [few.off(value) for value in (0, 396, 398, -4, 404)] == [0, 0, -2, -4, 4]
    many = Slack([2**n for n in range(EXACT_SUMS.bit_length())] + [-1000])
    assert many.exact
    assert [many.off(value) for value in (-1000, 2 * EXACT_SUMS - 1, -1001, 2 * EXACT_SUMS)] == [0, 0, -1, 1]


def test_without_final_reads_nothing_is_known(checkout_run):
    finding = conservation.check(checkout_run(end=False).history())
    assert finding.verdict == Verdict.UNKNOWN
    assert "no final phase" in finding.reasons[0]


def test_a_balance_without_an_opening_is_not_judged(checkout_run):
    run = checkout_run()
    run.see_user("stranger", 7)
    finding = conservation.check(run.history())
    assert finding.verdict == Verdict.UNKNOWN
    assert "user stranger" in finding.reasons[0]


def test_orders_of_unknown_contents_make_all_unknown(run):
    run.op("init_users", 1, 100)
    run.op("init_orders", 1, 1, 1, 5)
    run.op("checkout", "0")
    run.phase("final")
    run.see_user("0", 3)
    finding = conservation.check(run.history())
    assert finding.verdict == Verdict.UNKNOWN
    assert "order 0" in finding.reasons[0]
