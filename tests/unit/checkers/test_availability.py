"""Failed requests, and the requests after the first fault."""

import pytest

from harness.checkers import after_fault, availability, judge
from harness.history import Operation
from harness.report.text import headline, render
from tests.checkers import outages
from tests.checkers.history_builder import a_run


def availability_of(play) -> tuple[str, dict]:
    history = a_run(middle=play).history()
    figures = availability.check(history).figures
    assert f"availability: {figures['words']}" in render(history, judge(history)).splitlines()
    return headline(history, judge(history)), figures


def test_a_run_without_requests_is_not_applicable(run):
    assert availability.check(run.history()).verdict == "not-applicable"


def test_requests_count_also_in_a_run_without_faults():
    line, figures = availability_of(lambda _: None)
    assert (
        figures["words"]
        == "3 of 63 requests failed (3 broken connection); worst latency 6 ms, of a checkout at 0.084 s"
    )
    assert line.startswith("holds")
    assert "after the first fault" not in figures["words"]


@pytest.mark.parametrize(
    ("outcome", "status", "value", "kind"),
    [
        ("ok", 200, None, ""),
        ("fail", 409, "too little credit", ""),
        ("fail", 424, "not reached", "424"),
        ("unknown", 202, "202: accepted", ""),
        ("unknown", 409, "409: locked", ""),
        ("unknown", 200, "200: malformed answer, without credit", "malformed answer"),
        ("unknown", 502, "502: no answer", "502"),
        ("unknown", 0, "no answer: TimeoutError", "time-out"),
        ("unknown", 0, "no answer: no answer in time", "time-out"),
        ("unknown", 0, "no answer: Server disconnected", "broken connection"),
        ("unknown", None, "no answer", "no status"),
    ],
)
def test_the_kind_of_a_failed_request(outcome, status, value, kind):
    assert availability.kind_of_failure(Operation(0, "find_user", ["u"], 0, 1, outcome, value, None, status)) == kind


def test_a_failed_request_is_named_with_the_fault_before_it(run):
    run.op("find_user", "u", at=(0, 1))
    run.event("fault-start", at=100, fault="restart", target="order-1", aimed=["order-1"], down=[])
    run.op("checkout", "o", outcome="unknown", at=(50, 2500), status=502, value="502: lost")
    (violation,) = availability.check(run.history()).violations
    assert violation.name == "request-failed"
    assert violation.explanation == (
        "at 0.050 s, after 2450 ms: 502, checkout o by process 0: unknown 502: lost, 2.400 s after the begin of restart order-1"
    )


@pytest.mark.parametrize(
    ("must_hold", "verdict"), [([], "holds"), (["stats"], "holds"), (["availability"], "violated")]
)
def test_a_failed_request_violates_only_a_requirement(must_hold, verdict):
    builder = a_run()
    builder.must_hold = must_hold
    judgement = judge(builder.history())
    assert judgement.verdict == verdict
    (result,) = [result for result in judgement.results if result.checker == "availability"]
    required = "required" if "availability" in must_hold else "not required"
    assert result.claims == (f"availability: {required}",)


def test_served_requests_and_the_longest_time_without_one():
    line, figures = availability_of(outages.served_after)
    assert (figures["asked"], figures["succeeded"], figures["never_again"]) == (4, 1, [])
    assert figures["tried"] == {"find_user": 1, "checkout": 4}
    assert 8 < figures["longest_without_s"] < 9
    assert "; 1 of 4 checkouts begun after the first fault succeeded; longest time without" in figures["words"]
    assert "no checkout succeeded" not in line


def test_a_checkout_that_begins_with_the_first_fault_counts():
    def play(builder):
        outages.nodes(builder)
        before, at, after = outages.orders(builder, 3)
        now = builder.now + 10
        builder.record("checkout", before, at=(now - 1, now + 1), process=43)
        builder.record("checkout", at, at=(now, now + 1), process=44)
        builder.record("checkout", after, at=(now + 1, now + 2), process=45)
        builder.now = now
        outages.killed(builder)

    assert availability_of(play)[1]["asked"] == 2


def test_never_again_is_named_whatever_the_verdict():
    line, figures = availability_of(outages.away_until_the_end)
    assert line.startswith("holds")
    assert ", no checkout succeeded after the first fault: " in line
    assert [each.partition(" at ")[0] for each in figures["never_again"]] == ["crash of payment-1"]
    assert "none again after 1 faults" in figures["words"]


def test_a_rejection_for_the_content_is_an_answer():
    assert "10 were rejected for their content" in availability_of(outages.sold_out_after)[1]["words"]


def test_no_served_request_is_unknown_with_a_reason():
    judgement = judge(a_run(middle=outages.nobody_served_after).history())
    assert judgement.verdict == "unknown"
    (reason,) = judgement.reasons
    assert reason.startswith("availability: no checkout was served any more after the first fault, at ")
    assert "10 of them while every service was available" in reason


@pytest.mark.parametrize(("tries", "undecided"), [(2, False), (3, True)])
def test_up_to_two_requests_may_be_lost(tries, undecided):
    def play(builder):
        outages.nodes(builder)
        names = outages.orders(builder, tries)
        outages.killed(builder)
        outages.unsuccessful_checkouts(builder, names)
        builder.now += 5 * outages.SECOND

    assert bool(availability.check(a_run(middle=play).history()).reasons) == undecided


def test_a_span_has_its_begin_and_not_its_end():
    operations = [Operation(0, "checkout", ["o"], at_ns, at_ns + 9, "unknown") for at_ns in range(9, 22)]
    load = after_fault.LoadAfterFault((10, 20), [(12, 14), (16, 18)])
    assert [operation.invoked_ns for operation in load.begun(operations)] == list(range(10, 20))
    assert [operation.invoked_ns for operation in load.in_time(operations)] == [12, 13, 16, 17]


def crashed(run, begin, end, over):
    """A crash of the only payment instance from `begin` to `end`, in a load that is over at `over`, in milliseconds."""
    run.event("node", at=1, name="payment-1", state="running", pid=1)
    run.event("fault-start", at=begin, fault="crash", target="payment-1", aimed=["payment-1"], down=[])
    run.event("fault-end", at=end, fault="crash", target="payment-1")
    run.event("phase", at=over, name="heal")


@pytest.mark.parametrize(("recovery_s", "enough_ms"), [(2, 2000), (None, 1000)])
@pytest.mark.parametrize(("missing_ms", "undecided"), [(0, True), (1, False)])
def test_requests_have_the_time_of_the_claim_to_be_served(run, recovery_s, enough_ms, missing_ms, undecided):
    crashed(run, 100, 200, 200 + enough_ms - missing_ms)
    for number in range(3):
        run.op("checkout", f"{number}", outcome="unknown", at=(300 + number, 301 + number))
    finding = availability.check(run.history(recovery_s=recovery_s))
    assert bool(finding.reasons) == undecided
    assert finding.figures["all_there_s"] == (enough_ms - missing_ms) / 1000


@pytest.mark.parametrize(("over", "judged"), [(100, False), (101, True)])
def test_a_fault_at_the_end_of_the_load_is_not_judged(run, over, judged):
    crashed(run, 100, 200, over)
    assert bool(after_fault.service_after_fault(run.history()).figures) == judged
