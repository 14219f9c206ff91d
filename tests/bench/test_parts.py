"""The parts of a bench: histograms, arrivals, thresholds, sweeps, rounds."""

import asyncio
import itertools
import math
import time
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.cases import Bench, BenchCase, Candidate, atomic, swept
from harness.bench.load_generator import LoadGenerator, SessionPool, arrivals
from harness.bench.pace import Pace
from harness.history import Operation
from harness.metrics import thresholds
from harness.metrics.histogram import Histogram
from harness.workload.base import Call
from harness.workload.session import Session
from protocols.errors import UsageError
from protocols.registry import load

VALUES = st.lists(st.integers(0, 10**10), min_size=1, max_size=200)


@given(VALUES, st.floats(0, 1))
def test_a_quantile_is_the_exact_one_to_one_part_in_a_thousand(values: list[int], q: float) -> None:
    exact = sorted(values)[max(1, math.ceil(q * len(values))) - 1]
    found = Histogram(values).quantile(q)
    assert found is not None
    assert exact <= found <= exact * (1 + 1 / 1023)


@given(VALUES, VALUES)
def test_histograms_add_up_and_are_made_again_of_their_buckets(one: list[int], other: list[int]) -> None:
    both = Histogram(one)
    both.add(Histogram(other))
    assert list(both.buckets()) == list(Histogram(one + other).buckets())
    assert list(Histogram.of(both.buckets()).buckets()) == list(both.buckets())
    assert both.mean() == pytest.approx(sum(one + other) / len(one + other))


def test_an_empty_histogram_knows_nothing_and_none_counts_below_zero() -> None:
    assert (Histogram().quantile(0.5), Histogram().mean()) == (None, None)
    with pytest.raises(ValueError, match="negative value: -1"):
        Histogram([-1])


def test_arrivals_keep_their_rate_and_poisson_is_as_uneven_as_it_should_be() -> None:
    fixed = list(itertools.islice(arrivals(200, "fixed", Random(1)), 5))
    assert fixed == [0.0, 0.005, 0.01, 0.015, 0.02]
    poisson = list(itertools.islice(arrivals(200, "poisson", Random(1)), 20_001))
    gaps = [after - before for before, after in itertools.pairwise(poisson)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(0.005, rel=0.03)
    assert deviation == pytest.approx(mean, rel=0.05)
    assert poisson == list(itertools.islice(arrivals(200, "poisson", Random(1)), 20_001))


def row(**figures: float | None) -> dict[str, object]:
    measured = {
        "asked": 100,
        "unknown": 4,
        "rate_per_s": 90.0,
        "latency": {"p99_ms": figures.get("p99_ms", 40.0)},
        "cost": {"messages": figures.get("messages")},
    }
    return {"name": "a row", "protocol": "2pc", "scenario": "fault-free", "measured": measured}


@pytest.mark.parametrize(
    ("text", "crossed"),
    [
        ("p99_ms > 50", False),
        ("p99_ms >= 40", True),
        (" p99_ms<50 ", True),
        ("p99_ms <= 39.9", False),
        ("rate_per_s < 1e3", True),
        ("unknown_share > 0.03", True),
        ("2pc: p99_ms > 30", True),
        ("saga: p99_ms > 30", False),
        ("2pc@fault-free: p99_ms > 30", True),
        ("@kill-one-at-a-time: p99_ms > 30", False),
        ("messages > 1", False),
    ],
)
def test_a_threshold_is_crossed_or_not(text: str, crossed: bool) -> None:
    assert thresholds.parse(text).crossed(row()) is crossed


@pytest.mark.parametrize("text", ["", "p99_ms", "p99_ms > fast", "p99 > 5", "p99_ms = 5", "> 5", "p99_ms > 1.2.3"])
def test_a_malformed_threshold_is_rejected_by_name(text: str) -> None:
    with pytest.raises(UsageError, match="--fail-if"):
        thresholds.parse(text)


def test_a_threshold_without_a_measurement_is_not_met() -> None:
    (found,) = thresholds.judge((thresholds.parse("messages > 1"),), [row()])
    assert (found["met"], found["unmeasured"], found["crossed_by"]) == (False, True, [])
    (found,) = thresholds.judge((thresholds.parse("messages > 9"),), [row(messages=8.0)])
    assert (found["met"], found["unmeasured"]) == (True, False)
    (found,) = thresholds.judge((thresholds.parse("messages > 7"),), [row(messages=8.0)])
    assert (found["met"], found["crossed_by"]) == (False, ["a row"])


def test_a_sweep_makes_every_combination_and_names_the_changed_settings() -> None:
    cases = swept([BenchCase(Candidate("2pc"))], ["clients=1,8", "skew=0,1.2"])
    assert [case.name for case in cases] == [
        "2pc, fault-free, 1 client",
        "2pc, fault-free, 1 client, skew 1.2",
        "2pc, fault-free, 8 clients",
        "2pc, fault-free, 8 clients, skew 1.2",
    ]
    assert cases[2].pace.rate_per_s is None
    assert BenchCase(Candidate("2pc"), pace=Pace(limit_p99_ms=20)).name == "2pc, fault-free, p99 within 20 ms"
    (case,) = swept([BenchCase(Candidate("saga", "streams"))], ["rate=50", "workers=2", "items=5"])
    assert case.name == "saga over streams, fault-free, 50/s, workers 2, items 5"


@pytest.mark.parametrize(
    "text", ["clients", "colour=1", "clients=", "clients=a", "clients=0", "items=-1", "workers=1.5", "=3"]
)
def test_an_unknown_sweep_is_rejected_by_name(text: str) -> None:
    with pytest.raises(UsageError, match="--sweep"):
        swept([BenchCase(Candidate("2pc"))], [text])
    with pytest.raises(UsageError, match="sweep fewer"):
        swept([BenchCase(Candidate("2pc"))], [f"clients={','.join(map(str, range(1, 70)))}"])


def test_rounds_take_turns() -> None:
    cases = (BenchCase(Candidate("2pc")), BenchCase(Candidate("saga")))
    bench = Bench(cases, seed=7, rounds=2)
    assert [(number, case.candidate.protocol) for number, case in bench.turns()] == [
        (1, "2pc"),
        (1, "saga"),
        (2, "2pc"),
        (2, "saga"),
    ]
    assert [bench.plan(case, number).seed for number, case in bench.turns()] == [7, 7, 8, 8]


def test_faults_come_from_the_scenario_and_the_load_from_the_bench() -> None:
    case = BenchCase(Candidate("2pc"), "kill-one-at-a-time", pace=Pace(rate_per_s=50, capacity_s=3))
    bench = Bench((case,), seed=1, duration_s=12)
    plan = bench.plan(case, 1)
    assert (plan.scenario.workload_name, plan.scenario.duration_s) == ("orders", 12)
    assert [fault.kind for fault in plan.scenario.faults] == ["crash"]
    assert bench.pace(case).capacity_s == 0
    assert plan.spec().trace == 1
    assert bench.plan(BenchCase(Candidate("2pc")), 1).scenario.faults == ()


def test_the_default_candidates_have_safeguards_for_their_claims() -> None:
    assert {"2pc", "saga"} <= set(atomic())
    assert "unprotected" not in atomic()
    assert all(load(name).safeguards for name in atomic())


async def test_a_late_generator_still_sends_every_due_request() -> None:
    """The loop stands still until the end: every request that was due meanwhile is sent, and none after."""

    class Immediate:
        async def do(self, call: Call, due_ns: int) -> Operation:
            return Operation(0, call.op, list(call.args), due_ns, due_ns, "ok")

    class UnmeasuredSessions(SessionPool):
        def acquire(self) -> Session:
            return Immediate()  # type: ignore[return-value]

    operations: list[Operation] = []
    sessions = UnmeasuredSessions(None)  # type: ignore[arg-type]
    generator = LoadGenerator(sessions, map(str, itertools.count()), time.monotonic_ns, operations.append)
    over = asyncio.Event()
    asyncio.get_running_loop().call_soon(lambda: (time.sleep(0.3), over.set()))
    began_ns = time.monotonic_ns()
    await generator.open_loop(1_000, "fixed", Random(1), over)
    assert len(operations) >= 290
    assert max(each.invoked_ns for each in operations) <= time.monotonic_ns()
    assert len(operations) <= (time.monotonic_ns() - began_ns) / 1e6 + 2
