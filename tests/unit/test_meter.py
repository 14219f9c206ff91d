"""The costs of a node add up over its lives, and the rounds of a bench to one row."""

import pytest

from harness.history import Event, Header, History, Operation, RecordedClaims
from harness.metrics.aggregate import merged, spread, worst
from harness.metrics.measure import Measured, measure
from harness.report.live_stats import LiveStats
from harness.runtimes.deployment.cost_meter import NodeCosts

HEADER = Header(
    protocol="2pc",
    claims=RecordedClaims(atomicity="atomic", isolation="none", durability="everysec"),
    scenario="-",
    workload="-",
    durability="everysec",
    runtime="local",
    seed=1,
)
S = 1_000_000_000


def test_a_new_life_counts_from_zero_and_the_counts_of_the_old_one_stay() -> None:
    used = NodeCosts()
    used.count(10, {"cpu_s": 2.0, "messages": 5})
    used.count(10, {"cpu_s": 3.0, "messages": 9})
    assert used.total() == {"cpu_s": 3.0, "messages": 9.0}
    used.count(11, {"cpu_s": 0.5})
    assert used.total() == {"cpu_s": 3.5, "messages": 9.0}
    used.count(11, {"cpu_s": 1.0, "messages": 2})
    assert used.total() == {"cpu_s": 4.0, "messages": 11.0}


def run(latencies_ms: list[int], outcome: str = "ok") -> Measured:
    operations = [
        Operation(at, "checkout", [str(at)], S + at, S + at + ms * 1_000_000, outcome, "paid")  # type: ignore[arg-type]
        for at, ms in enumerate(latencies_ms)
    ]
    events = [Event("phase", S, {"name": "load"}), Event("phase", 11 * S, {"name": "heal"})]
    return measure(History(HEADER, operations, events))


def test_rounds_add_up() -> None:
    fast, slow = run([1] * 50), run([100] * 50)
    both = merged([fast, slow])
    assert (both.asked, both.ok, both.load_s, both.rate_per_s) == (100, 100, 20.0, 5.0)
    assert both.latency["p50_ms"] == pytest.approx(1, rel=0.002)
    assert both.latency["p90_ms"] == pytest.approx(100, rel=0.002)
    assert spread([fast, slow])["p99_ms"] == [fast.latency["p99_ms"], slow.latency["p99_ms"]]
    assert (both.failed_requests, both.worst_ms) == (0, 100)
    assert merged([fast]) is fast
    assert spread([fast]) == {}


def test_the_worst_verdict_counts() -> None:
    assert worst(["holds", "unknown", "violated"]) == "violated"
    assert worst(["holds", "unknown"]) == "unknown"
    assert worst(["holds", "holds"]) == "holds"
    assert worst([]) == "unknown"


def test_an_unknown_or_late_answer_was_not_available() -> None:
    assert run([999] * 10).availability == 1.0
    assert run([1_001] * 10).availability == 0.0
    assert run([1] * 10, "unknown").availability == 0.0
    assert run([1] * 10, "fail").availability == 1.0


def test_failed_requests_and_the_worst_latency_are_those_of_the_load() -> None:
    failed = run([1, 9, 2], "unknown")
    assert (failed.failed_requests, failed.worst_ms) == (3, 9)
    assert (merged([failed, failed]).failed_requests, run([]).worst_ms) == (6, None)


def test_a_glance_is_of_the_last_seconds() -> None:
    stats = LiveStats()
    stats(Event("phase", 0, {"name": "load"}))
    for at in range(10):
        stats(Operation(1, "checkout", ["1"], at * S, at * S + 50_000_000, "ok", "paid"))
    assert stats.outcome_counts() == "10 acknowledged, 0 rejected, 0 unknown"
    assert stats.rate_per_s == pytest.approx(4 / 3)
    assert stats.latency_ms(0.5) == pytest.approx(50, rel=0.002)
    stats(Event("fault-start", 10 * S, {"fault": "crash", "target": "order"}))
    stats(Event("node", 10 * S, {"name": "order-1", "state": "down"}))
    assert (stats.faults, stats.down) == (["crash order"], ["order-1 down"])
    stats(Event("healed", 20 * S, {}))
    assert stats.faults == []
    assert stats.speed() == ""
