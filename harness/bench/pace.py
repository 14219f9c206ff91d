"""The load of one run of a bench, in stages; every stage is a phase of the history.

`warm-up` is not counted. `capacity` is a closed loop that measures the capacity. `search` looks for the highest rate within a
latency limit. `load` is the measured load, without faults or under faults.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from harness.bench.load_generator import Arrivals, LoadGenerator, SessionPool, await_answers, stop_after
from harness.history import Operation
from harness.history.latency import latency_us
from harness.metrics.histogram import Histogram
from harness.run.load import ClientPool, LoadDriver, MakeLoad
from harness.workload.base import Shop, stream
from protocols.service.tasks import start_task

SEARCH_FROM_PER_S = 50.0
SEARCH_UP_TO_PER_S = 12_800.0
SEARCH_HALVINGS = 4
SEARCH_ORDERS = 40_000
FASTEST_PER_S = 2_500
PUT_TOGETHER = 6
"""The factor by which fewer orders fit where several requests make one order."""

KEPT_UP = 0.95
"""The share of the expected requests that a step must have sent: with fewer, the generator was late or the orders ran out."""


@dataclass(frozen=True, slots=True)
class Pace:
    """An open loop of `rate_per_s`, or, where that is None, a closed loop of `clients`. Times are in seconds.

    `capacity_s` is the duration of a closed loop before the load, 0 for none. `limit_p99_ms` starts a search for the highest
    rate within this limit, in steps of `search_s`, before a load at that rate. `reserve` orders are kept for the load.
    """

    rate_per_s: float | None = 100.0
    clients: int = 32
    arrivals: Arrivals = "poisson"
    warm_up_s: float = 2.0
    capacity_s: float = 0.0
    limit_p99_ms: float | None = None
    search_s: float = 3.0
    reserve: int = 0

    def make(self) -> MakeLoad:
        return lambda _workload, shop, clients, seed: PacedLoad(self, shop, clients, seed)

    def for_load(self, duration_s: float, *, ready_made: bool) -> int:
        """Return an upper estimate of the orders that the load takes.

        `ready_made` orders are made in one request. Other orders take several requests each, so there are fewer of them, and a
        closed loop ends early when they run out.
        """
        fastest = FASTEST_PER_S if ready_made else FASTEST_PER_S / PUT_TOGETHER
        if self.limit_p99_ms is not None:
            return round(fastest * duration_s)
        return round((1.2 * self.rate_per_s if self.rate_per_s else fastest) * duration_s + 100)

    def before_load(self, *, ready_made: bool) -> int:
        """Return the number of orders for the stages before the load."""
        steps = 0 if self.limit_p99_ms is None else SEARCH_ORDERS
        wanted = FASTEST_PER_S * (self.warm_up_s + self.capacity_s) + steps
        return round(wanted if ready_made else wanted / PUT_TOGETHER)


class PacedLoad(LoadDriver):
    """The load of one run, made of checkouts of the orders from the set-up."""

    def __init__(self, pace: Pace, shop: Shop, clients: ClientPool, seed: int) -> None:
        self._pace = pace
        self._recorder = clients.recorder
        sessions, now_ns = SessionPool(clients), clients.recorder.now_ns
        cut = max(0, len(shop.order_pool) - pace.reserve)
        self._before = LoadGenerator(sessions, iter(shop.order_pool[:cut]), now_ns)
        self._generator = LoadGenerator(sessions, iter(shop.order_pool[cut:]), now_ns)
        self._seed = seed
        self._over = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    async def ready(self) -> None:
        pace = self._pace
        if pace.warm_up_s:
            await self._closed("warm-up", pace.warm_up_s)
        if pace.capacity_s:
            await self._closed("capacity", pace.capacity_s)
        if pace.limit_p99_ms is not None:
            self._pace = replace(pace, rate_per_s=await self._search(pace.limit_p99_ms))

    def start(self, faults_at_s: Sequence[float]) -> None:  # noqa: ARG002 - the pace is the same under every fault
        self._work = start_task(self._drive(), "load")

    async def finished(self) -> None:
        """Return when no order is left, which is the end of the load."""
        assert self._work is not None
        await asyncio.wait((self._work,))
        _raise(self._work)

    def stop(self) -> None:
        self._over.set()

    async def drained(self) -> None:
        assert self._work is not None
        await asyncio.wait((self._work,))
        _raise(self._work)

    async def abandon(self) -> None:
        if self._work is not None:
            self._work.cancel()
            await asyncio.gather(self._work, return_exceptions=True)

    # ------------------------------------------------------------ inside

    async def _drive(self) -> None:
        pace = self._pace
        if pace.rate_per_s is None:
            await self._generator.closed_loop(pace.clients, self._over)
        else:
            await self._generator.open_loop(pace.rate_per_s, pace.arrivals, self._rng("arrivals"), self._over)

    async def _closed(self, phase: str, seconds: float) -> None:
        self._recorder.phase(phase)
        async with stop_after(seconds) as over:
            await await_answers(self._before.closed_loop(self._pace.clients, over))

    async def _search(self, limit_ms: float) -> float:
        """Return the highest rate that kept the limit; half of the lowest rate if none did."""
        # The rate doubles until a step fails, and then the interval is halved. Latency grows with the ratio of the rate to
        # the capacity, so the middle of the interval is the geometric one.
        good, rate = SEARCH_FROM_PER_S / 2, SEARCH_FROM_PER_S
        while rate <= SEARCH_UP_TO_PER_S and await self._keeps_limit(rate, limit_ms):
            good, rate = rate, 2 * rate
        bad = rate
        for _ in range(SEARCH_HALVINGS):
            rate = math.sqrt(good * bad)
            if await self._keeps_limit(rate, limit_ms):
                good = rate
            else:
                bad = rate
        self._recorder.event("found", rate_per_s=round(good, 1), limit_p99_ms=limit_ms)
        return good

    async def _keeps_limit(self, rate: float, limit_ms: float) -> bool:
        """Run one step at this rate. Return whether every answer was certain, and 99 of 100 within the limit."""
        self._recorder.event("phase", name="search", rate_per_s=round(rate, 1))
        latencies, unknown = Histogram(), 0

        def count(operation: Operation) -> None:
            nonlocal unknown
            latencies.record(latency_us(operation))
            unknown += operation.outcome == "unknown"

        generator = replace(self._before, on_answer=count)
        async with stop_after(self._pace.search_s) as over:
            await await_answers(generator.open_loop(rate, self._pace.arrivals, self._rng(f"search:{rate}"), over))
        p99_us = latencies.quantile(0.99)
        # A step without enough requests shows nothing about the shop. The number of arrivals of a Poisson process has the
        # standard deviation sqrt(n), so three of them below the expected share is no accident.
        enough = latencies.total >= KEPT_UP * rate * self._pace.search_s - 3 * math.sqrt(rate * self._pace.search_s)
        return enough and not unknown and p99_us is not None and p99_us <= limit_ms * 1000

    def _rng(self, name: str) -> Random:
        return stream(self._seed, f"bench:{name}")


def _raise(task: "asyncio.Task[None]") -> None:
    """Raise the error of a client's task, without the exception group around it."""
    if not task.cancelled() and (error := task.exception()):
        raise error.exceptions[0] if isinstance(error, ExceptionGroup) else error
