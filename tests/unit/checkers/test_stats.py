"""A run that tested nothing is unknown."""

from harness.checkers import stats
from harness.checkers.finding import Verdict


def test_everything_that_was_tried_succeeded_once(checkout_run):
    finding = stats.check(checkout_run(["fail", "unknown", "ok"]).history())
    assert finding.verdict == Verdict.HOLDS
    assert finding.figures["operations"]["checkout"] == {"ok": 1, "fail": 1, "unknown": 1}


def test_what_never_succeeded_makes_it_unknown(checkout_run):
    finding = stats.check(checkout_run(["fail", "unknown"]).history())
    assert finding.verdict == Verdict.UNKNOWN
    assert finding.reasons == ("no checkout succeeded, of 2",)


def test_nothing_tried_is_unknown(run):
    assert stats.check(run.history()).verdict == Verdict.UNKNOWN


def test_the_rate_is_that_of_the_load(run):
    run.op("checkout", "before", at=(0, 10))
    run.event("phase", at=1000, name="load")
    for second in (1, 2, 3):
        run.op("checkout", "1", at=(second * 1000, second * 1000 + 5))
    run.op("checkout", "1", at=(3500, 3600), outcome="fail")
    run.event("phase", at=5000, name="heal")
    run.op("checkout", "after", at=(6000, 6001))
    figures = stats.check(run.history()).figures
    assert figures["load_s"] == 4.0
    assert figures["rate_per_s"] == {"checkout": 0.75}
