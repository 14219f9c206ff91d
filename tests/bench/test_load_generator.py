"""Open loop and closed loop against a real shop: the latencies of a stall."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import pytest

from harness.bench.load_generator import LoadGenerator, SessionPool, stop_after
from harness.history import Header, MemoryRecorder, Operation, RecordedClaims
from harness.history.latency import latency_us
from harness.metrics.histogram import Histogram
from harness.metrics.measure import measure
from harness.run.load import ClientPool, set_up
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from harness.workload.orders import Orders

RATE_PER_S = 200
PAUSE_S = 2.0
CLAIMS = RecordedClaims(atomicity="atomic", isolation="none", durability="everysec")
HEADER = Header(
    protocol="2pc", claims=CLAIMS, scenario="-", workload="orders", durability="everysec", runtime="local", seed=1
)


@asynccontextmanager
async def shop(orders: int) -> AsyncIterator[tuple[LocalDeployment, LoadGenerator, MemoryRecorder]]:
    async with LocalDeployment(Spec(protocol="2pc")) as deployment, ShopClient(deployment.url) as client:
        tape = MemoryRecorder(HEADER, time.monotonic_ns)
        clients = ClientPool(client, tape)
        made = await set_up(Orders(orders=orders, poor=0.0), clients, 1)
        yield deployment, LoadGenerator(SessionPool(clients), iter(made.order_pool), tape.now_ns), tape


async def stall(deployment: LocalDeployment, after_s: float) -> None:
    await asyncio.sleep(after_s)
    deployment.pause("order-1")
    await asyncio.sleep(PAUSE_S)
    deployment.resume("order-1")


def quantile_ms(tape: MemoryRecorder, q: float, since: int = 0) -> float:
    checkouts = [each for each in tape.history().operations if each.op == "checkout"][since:]
    found = Histogram(map(latency_us, checkouts)).quantile(q)
    assert found is not None
    return found / 1000


@pytest.mark.slow
async def test_an_open_loop_counts_a_pause_for_every_request_due_in_it() -> None:
    async with shop(3_000) as (deployment, generator, tape), stop_after(6.0) as over:
        async with asyncio.TaskGroup() as group:
            group.create_task(generator.open_loop(RATE_PER_S, "fixed", Random(1), over))
            group.create_task(stall(deployment, 2.0))
        checkouts = [each for each in tape.history().operations if each.op == "checkout"]
        assert len(checkouts) >= 0.97 * RATE_PER_S * 6
        assert all(each.due_ns is not None and each.due_ns <= each.invoked_ns for each in checkouts)
        assert 1_000 * PAUSE_S * 0.85 <= quantile_ms(tape, 0.99) <= 1_000 * PAUSE_S * 2
        # A third of the time nobody was served: so many of those who came waited for about half of the pause.
        assert quantile_ms(tape, 0.75) > 100


@pytest.mark.slow
async def test_a_closed_loop_hardly_notices_it() -> None:
    async with shop(12_000) as (deployment, generator, tape):
        warm_up: list[Operation] = []
        async with stop_after(0.5) as over:
            await replace(generator, on_answer=warm_up.append).closed_loop(1, over)
        warm = len(warm_up)
        async with stop_after(6.0) as over, asyncio.TaskGroup() as group:
            group.create_task(generator.closed_loop(1, over))
            group.create_task(stall(deployment, 2.0))
        assert quantile_ms(tape, 1.0, warm) >= 1_000 * PAUSE_S * 0.9
        assert quantile_ms(tape, 0.99, warm) < 100


def test_latency_counts_from_when_it_was_due() -> None:
    late = Operation(1, "checkout", ["1"], 5_000_000, 7_000_000, "ok", None, 2_000_000)
    assert latency_us(late) == 5_000
    assert latency_us(Operation(1, "checkout", ["1"], 5_000_000, 7_000_000, "ok")) == 2_000


def test_the_figures_of_a_history_without_any_checkout() -> None:
    tape = MemoryRecorder(HEADER, iter(range(10**9, 10**10, 10**9)).__next__)
    tape.phase("load")
    tape.phase("heal")
    found = measure(tape.history())
    assert (found.asked, found.rate_per_s, found.latency["p99_ms"], found.availability) == (0, 0.0, None, None)
