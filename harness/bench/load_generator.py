"""The two kinds of load, and the stages that a bench goes through.

An open loop asks when it is time to, whether or not anybody has answered: clients of a web shop do not wait for each other. Its
latency counts from when a request was due, so that a stall counts for all who would have come meanwhile. A closed loop of N
clients asks again only after an answer: a stall stops the load as well, and is one slow request a client (Tene,
"How NOT to measure latency": coordinated omission). It finds how much a shop can do, and nothing about waiting.
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
    """Seconds from the start at which requests are due, for ever: a Poisson process, or one each 1/rate."""
    at_s = 0.0
    for number in itertools.count(1):
        yield at_s
        at_s = at_s + rng.expovariate(rate_per_s) if kind == "poisson" else number / rate_per_s


class SessionPool:
    """Sessions to be borrowed: one for each request that is under way."""

    def __init__(self, clients: ClientPool) -> None:
        self._clients = clients
        self._idle: list[Session] = []

    def acquire(self) -> Session:
        return self._idle.pop() if self._idle else self._clients.session()

    def release(self, session: Session) -> None:
        self._idle.append(session)


@dataclass
class LoadGenerator:
    """Where orders are checked out, each once. `orders` are those that nobody has checked out yet.

    `now_ns` is the history's clock; `heard` hears every answer.
    """

    sessions: SessionPool
    orders: Iterator[str]
    now_ns: Callable[[], int]
    heard: Callable[[Operation], None] = lambda _: None

    async def open_loop(self, rate_per_s: float, kind: Arrivals, rng: Random, until: asyncio.Event) -> None:
        """Check orders out as they are due until `until` is set or none is left; return when all have been answered.

        Those that were due before are still asked when `until` is set: a generator that is late must not leave out the late.
        """
        loop = asyncio.get_running_loop()
        begin_s, begin_ns = loop.time(), self.now_ns()
        end_s: float | None = None
        room = asyncio.Semaphore(MOST_UNANSWERED)
        async with asyncio.TaskGroup() as group:
            for at_s, order in zip(arrivals(rate_per_s, kind, rng), self.orders, strict=False):
                if await _set_within(until, begin_s + at_s - loop.time()):
                    end_s = loop.time() if end_s is None else end_s
                    if begin_s + at_s >= end_s:
                        return
                await room.acquire()
                group.create_task(self._one(order, begin_ns + int(at_s * 1e9), room))

    async def closed_loop(self, clients: int, until: asyncio.Event) -> None:
        """Each of so many clients checks out one order after the other."""

        async def client() -> None:
            session = self.sessions.acquire()
            while not until.is_set() and (order := next(self.orders, None)) is not None:
                self.heard(await session.do(call("checkout", order)))
            self.sessions.release(session)

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(client())

    async def _one(self, order: str, due_ns: int, room: asyncio.Semaphore) -> None:
        session = self.sessions.acquire()
        try:
            self.heard(await session.do(call("checkout", order), due_ns))
        finally:
            self.sessions.release(session)
            room.release()


@asynccontextmanager
async def over_after(seconds: float) -> AsyncIterator[asyncio.Event]:
    """An event that is set after so many seconds."""
    over = asyncio.Event()
    handle = asyncio.get_running_loop().call_later(seconds, over.set)
    try:
        yield over
    finally:
        handle.cancel()


async def answered(work: Coroutine[None, None, None]) -> None:
    """Raises `SetupFailed` if what is under way is not answered in good time."""
    try:
        await asyncio.wait_for(work, ANSWERED_WITHIN_S)
    except TimeoutError:
        raise SetupFailed(f"checkouts were not answered within {ANSWERED_WITHIN_S:g} s, before any fault") from None


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait so long; whether it was set by then. What is late already still gives others their turn."""
    if seconds > 0:
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            pass
    else:
        await asyncio.sleep(0)
    return event.is_set()
