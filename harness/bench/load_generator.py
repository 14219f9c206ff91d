"""The two kinds of load: an open loop and a closed loop.

An open loop sends each request at its due time, whether or not earlier requests have an answer: clients of a web shop do
not wait for each other. Latency counts from the due time, so a stall counts for every request that was due during it. A
closed loop of N clients sends the next request of a client only after the answer to the last one. A stall then stops the
load as well, and shows as one slow request a client: coordinated omission (Tene, "How NOT to measure latency"). A closed
loop measures the capacity of a shop, and not its latency under a given load.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Literal

from harness.history import Operation
from harness.run.load import ClientPool, SetupFailed
from harness.workload.base import call
from harness.workload.session import Session

MOST_UNANSWERED = 5_000
ANSWERED_WITHIN_S = 30.0

Arrivals = Literal["poisson", "fixed"]


def arrivals(rate_per_s: float, kind: Arrivals, rng: Random) -> Iterator[float]:
    """Yield the due times of requests without end, in seconds from the start: a Poisson process, or one each 1/rate."""
    at_s = 0.0
    for number in itertools.count(1):
        yield at_s
        at_s = at_s + rng.expovariate(rate_per_s) if kind == "poisson" else number / rate_per_s


class SessionPool:
    """Idle sessions, and new ones when all are busy: each session has one request at a time."""

    def __init__(self, clients: ClientPool) -> None:
        self._clients = clients
        self._idle: list[Session] = []

    def acquire(self) -> Session:
        return self._idle.pop() if self._idle else self._clients.session()

    def release(self, session: Session) -> None:
        self._idle.append(session)


@dataclass
class LoadGenerator:
    """A source of checkouts, one for each of `orders`.

    `now_ns` is the clock of the history, in nanoseconds; `on_answer` receives every finished operation.
    """

    sessions: SessionPool
    orders: Iterator[str]
    now_ns: Callable[[], int]
    on_answer: Callable[[Operation], None] = lambda _: None

    async def open_loop(self, rate_per_s: float, kind: Arrivals, rng: Random, until: asyncio.Event) -> None:
        """Send a checkout at each due time until `until` is set or no order is left, and wait for all answers.

        `rate_per_s` is the mean rate, `kind` the distribution of the due times.
        """
        loop = asyncio.get_running_loop()
        begin_s, begin_ns = loop.time(), self.now_ns()
        end_s: float | None = None
        slots = asyncio.Semaphore(MOST_UNANSWERED)
        async with asyncio.TaskGroup() as group:
            for at_s, order in zip(arrivals(rate_per_s, kind, rng), self.orders, strict=False):
                if await _wait_until_set(until, begin_s + at_s - loop.time()):
                    # A late generator still sends the requests that were due before the end. A generator on the machine of the
                    # shop is late when the shop is slow, and a result without these requests would flatter the shop.
                    end_s = loop.time() if end_s is None else end_s
                    if begin_s + at_s >= end_s:
                        return
                # The bound protects the generator's memory. A request that waits for its slot keeps its due time, so the
                # wait is part of its latency. A skipped or postponed request would be coordinated omission again.
                await slots.acquire()
                group.create_task(self._checkout(order, begin_ns + int(at_s * 1e9), slots))

    async def closed_loop(self, clients: int, until: asyncio.Event) -> None:
        """Let each of `clients` check out one order after the other until `until` is set or no order is left."""

        async def client() -> None:
            session = self.sessions.acquire()
            while not until.is_set() and (order := next(self.orders, None)) is not None:
                self.on_answer(await session.do(call("checkout", order)))
            self.sessions.release(session)

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())

    async def _checkout(self, order: str, due_ns: int, slots: asyncio.Semaphore) -> None:
        session = self.sessions.acquire()
        try:
            self.on_answer(await session.do(call("checkout", order), due_ns))
        finally:
            self.sessions.release(session)
            slots.release()


@asynccontextmanager
async def stop_after(seconds: float) -> AsyncIterator[asyncio.Event]:
    """Give an event that is set after `seconds`."""
    over = asyncio.Event()
    handle = asyncio.get_running_loop().call_later(seconds, over.set)
    try:
        yield over
    finally:
        handle.cancel()


async def await_answers(work: Coroutine[None, None, None]) -> None:
    """Wait for the answers to a stage before the load. Raises `SetupFailed` after `ANSWERED_WITHIN_S`."""
    try:
        await asyncio.wait_for(work, ANSWERED_WITHIN_S)
    except TimeoutError:
        raise SetupFailed(f"checkouts were not answered within {ANSWERED_WITHIN_S:g} s, before any fault") from None


async def _wait_until_set(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event for `seconds`, and return whether it is set."""
    if seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
    else:
        # A late generator yields once a request: a loop without a pause would keep the answers from being read.
        await asyncio.sleep(0)
    return event.is_set()
