"""Nothing left after the bound, and how long each fault blocked whom."""

import pytest

from harness.checkers import judge, recovery
from harness.checkers.finding import Verdict

CLEAN = {"in_doubt": 0, "locks": 0, "fences": 0, "open": 0}


def judged(run, *probes, healed=1000, **claims):
    """Probes as (milliseconds after the heal, counts of unfinished records)."""
    run.event("healed", at=healed)
    for after, left in probes:
        run.event("probe", at=healed + after, **{**CLEAN, **left})
    return recovery.check(run.history(**claims))


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("in_doubt", "left-in-doubt"),
        ("locks", "lock-left"),
        ("fences", "fence-left"),
        ("open", "transaction-left-open"),
    ],
)
def test_what_is_left_after_the_bound(run, field, name):
    finding = judged(run, (5_000, {field: 3}), (10_000, {field: 2}), (12_000, {}))
    (violation,) = finding.violations
    assert violation.name == name
    assert (
        f"10.0 s later the shop had 2 {recovery.NOUNS[field]}, 10.0 s later 2; there should be none"
        in violation.explanation
    )
    assert finding.figures["recovered_after_s"] == 12.0


def test_a_violation_names_the_transactions_that_the_last_probe_found(run):
    rows = [f"order-1~5.{number} open in order (o{number})" for number in range(5)]
    (violation,) = judged(run, (10_000, {"open": 5, "unfinished": rows})).violations
    assert "(unfinished: order-1~5.0 open in order (o0), " in violation.explanation
    assert "order-1~5.2 open in order (o2) and 2 more)" in violation.explanation


def test_transactions_that_began_after_the_heal_have_the_bound_from_their_begin(run):
    """Requests wait in the queues of an overloaded shop until the heal, and begin their transactions after it."""
    late = (10_000, {"open": 9, "locks": 4, "overdue": CLEAN})
    assert judged(run, (1_000, {"open": 90}), late, (12_000, {"overdue": CLEAN})).verdict == Verdict.HOLDS


def test_overdue_transactions_are_left_over_also_among_others(run):
    overdue = {**CLEAN, "open": 1}
    (violation,) = judged(run, (10_000, {"open": 9, "overdue": overdue}), (13_000, {"overdue": CLEAN})).violations
    assert violation.name == "transaction-left-open"
    assert "10.0 s later the shop had 1 open transactions, 10.0 s later 1;" in violation.explanation


def test_transactions_that_are_not_yet_overdue_at_the_last_probe_leave_the_verdict_unknown(run):
    finding = judged(run, (10_000, {"open": 9, "overdue": CLEAN}), (13_000, {"open": 1, "overdue": CLEAN}))
    assert finding.verdict == Verdict.UNKNOWN
    assert "began after the heal were unfinished" in finding.reasons[0]


def test_what_is_gone_by_then_is_fine(run):
    finding = judged(run, (0, {"locks": 9, "open": 2}), (9_999, {"locks": 1}), (10_000, {}))
    assert finding.verdict == Verdict.HOLDS


def test_a_shop_without_fences_does_not_count_them(run):
    assert judged(run, (11_000, {"fences": None})).verdict == Verdict.HOLDS


def test_clean_before_the_bound_is_enough(run):
    finding = judged(run, (2_000, {}))
    assert finding.verdict == Verdict.HOLDS
    assert finding.figures["recovered_after_s"] == 2.0


def test_it_counts_from_the_last_heal(run):
    run.event("healed", at=0)
    run.event("probe", at=11_000, **CLEAN, extra=1)
    assert judged(run, (1_000, {"locks": 1}), (3_000, {}), healed=20_000).verdict == Verdict.HOLDS


@pytest.mark.parametrize(
    "probes",
    [
        [],
        [(5_000, {"locks": 1})],
        [(5_000, {"locks": 1}), (60_000, {})],
        [(5_000, {"locks": 1}), (60_000, {"locks": 1, "overdue": CLEAN}), (61_000, {"overdue": CLEAN})],
    ],
    ids=["none", "early", "gap", "gap before transactions that began later"],
)
def test_without_a_probe_it_is_unknown(run, probes):
    assert judged(run, *probes).verdict == Verdict.UNKNOWN


def test_without_a_heal_nothing_is_known(run):
    assert recovery.check(run.history()).verdict == Verdict.UNKNOWN


def test_the_time_for_which_each_fault_blocked_operations(run):
    run.event("fault-start", at=1000, fault="crash", target="order")
    run.op("checkout", "1", at=(900, 1100))  # began before the fault, so it is no evidence
    run.op("checkout", "2", at=(1200, 5000))
    run.op("checkout", "3", at=(1300, 4000))
    run.op("checkout", "4", at=(1400, 1500), outcome="unknown")
    run.op("find_user", "1", at=(1001, 1002))
    run.event("fault-end", at=3500, fault="pause", target="order")
    run.event("fault-end", at=3600, fault="crash", target="order")
    run.op("checkout", "5", at=(6000, 6500))
    (fault,) = judged(run, healed=9000).figures["faults"]
    assert fault["fault"], fault["target"] == ("crash", "order")
    assert fault["lasted_s"] == 2.6
    assert fault["from_start_s"] == {"checkout": 3.0, "find_user": 0.002}
    assert fault["from_end_s"] == {"checkout": 2.9, "find_user": None}


def test_a_fault_that_was_never_ended_lasts_until_the_heal(run):
    run.event("fault-start", at=1000, fault="crash", target="order")
    run.op("checkout", "1", at=(10_000, 10_100))
    (fault,) = judged(run, healed=9000).figures["faults"]
    assert fault["lasted_s"] == 8.0
    assert fault["from_end_s"] == {"checkout": 1.1}


def test_the_bound_does_not_bind_after_a_lost_vote(run):
    """A commit then waits for ever for an acknowledgement that cannot come: reported, and allowed unless durability is always."""
    run.event("fault-start", fault="power-cut", target="all")
    run.event("healed", at=1_000)
    run.event("probe", at=11_000, **{**CLEAN, "open": 2})
    for durability, standing in (("everysec", "not-claimed-and-seen"), ("always", "claimed-and-violated")):
        (result,) = judge(run.history(durability=durability), {"recovery": recovery}).results
        assert result.standing == standing
