"""The clients of a run: the set-up, and the load."""

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from harness.history import Operation, Processes
from harness.history.recorder import Recorder
from harness.workload.base import Call, Client, Shop, Workload, stream
from harness.workload.client import Caller
from harness.workload.session import Session
from protocols.service.tasks import start_task

PARALLEL_SESSIONS = 16
"""The most concurrent calls of a set-up, or of the reads at the end."""

CLIENT_GROUPS = 2
"""Groups of clients; all calls of a group are due at the same time: evenly spread calls would hardly ever be concurrent."""


class SetupFailed(Exception):
    """A shop that cannot be examined, so that the verdict is unknown; the message has the reason."""


class ClientPool:
    """A source of sessions for one run, which share no process number."""

    def __init__(self, client: Caller, recorder: Recorder) -> None:
        self.recorder = recorder
        self._client = client
        self._processes = Processes()

    def session(self) -> Session:
        """Return a new session with a fresh process number."""
        return Session(self._client, self.recorder, self._processes)

    async def call_all(self, calls: Sequence[Call]) -> list[Operation]:
        """Make each call once, up to `PARALLEL_SESSIONS` concurrently; return the operations in the order of the calls."""
        operations: dict[int, Operation] = {}
        waiting = iter(enumerate(calls))

        async def work() -> None:
            session = self.session()
            for number, call in waiting:
                operations[number] = await session.do(call)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(PARALLEL_SESSIONS, len(calls))):
                    group.create_task(work())
        except ExceptionGroup as failures:  # callers handle `HistoryError` and `EnvironmentFailure`, not groups of them
            raise failures.exceptions[0] from None
        return [operations[number] for number in range(len(calls))]


async def set_up(workload: Workload, clients: ClientPool, seed: int) -> Shop:
    """Run the set-up of the workload and return its shop. Raises `SetupFailed` naming the first call without success."""
    rounds = workload.setup(stream(seed, "workload:setup"))
    try:
        calls = next(rounds)
        while True:
            operations = await clients.call_all(calls)
            for operation in operations:
                if operation.outcome != "ok":
                    raise SetupFailed(f"set-up: {operation.op}{tuple(operation.args)} was answered {operation.value!r}")
            calls = rounds.send(operations)
    except StopIteration as end:
        shop: Shop = end.value
        return shop


class LoadDriver(Protocol):
    """The load of a run: clients that make calls until `stop`."""

    async def ready(self) -> None:
        """Prepare the load, with calls whose times are not judged. Raises `SetupFailed`."""

    def start(self, faults_at_s: Sequence[float]) -> None:
        """Start the clients. `faults_at_s` are the times of the faults, in seconds from now."""

    async def finished(self) -> None:
        """Wait until no client has a call left, which may never happen. Raises the exception of a client that failed."""

    def stop(self) -> None:
        """Start no further call. Calls under way continue until their answer or time-out."""

    async def drained(self) -> None:
        """Wait until no call is under way."""

    async def abandon(self) -> None:
        """Cancel the calls under way."""


class ClosedLoad(LoadDriver):
    """A closed loop: `workload.clients` clients, each with one call at a time, until `stop`."""

    def __init__(self, workload: Workload, shop: Shop, clients: ClientPool, seed: int) -> None:
        self._workload = workload
        self._shop = shop
        self._clients = clients
        self._seed = seed
        self._over = asyncio.Event()
        self._unthrottled = asyncio.Event()
        """Set during a burst and after the end: clients do not wait for their due time."""
        self._has_faults = False
        self._bursts: list[asyncio.TimerHandle] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def ready(self) -> None:
        """Do nothing: a closed loop needs no preparation."""

    def start(self, faults_at_s: Sequence[float]) -> None:
        self._has_faults = bool(faults_at_s)
        loop, burst_s = asyncio.get_running_loop(), self._workload.burst_s
        for at_s in faults_at_s if burst_s else ():
            self._bursts.append(loop.call_later(max(0.0, at_s - burst_s), self._unthrottled.set))
            # Beyond the fault: an engine of containers needs some time for a kill, and the burst must not end before it.
            self._bursts.append(loop.call_later(at_s + burst_s / 2, self._unthrottled.clear))
        for number in range(self._workload.clients):
            client = self._workload.client(self._shop, number, stream(self._seed, f"workload:{number}"))
            self._tasks.append(start_task(self._drive(client, number), f"client {number}"))

    async def finished(self) -> None:
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        if (
            self._has_faults
        ):  # clients without calls end no run: its faults and their recovery still need the whole duration
            await asyncio.sleep(math.inf)

    def stop(self) -> None:
        for burst in self._bursts:
            burst.cancel()
        self._over.set()
        self._unthrottled.set()

    async def drained(self) -> None:
        await asyncio.gather(*self._tasks)

    async def abandon(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _drive(self, client: Client, number: int) -> None:
        session = self._clients.session()
        every_s = self._workload.clients / self._workload.rate_per_s
        now = asyncio.get_running_loop().time
        due = now() + every_s * (number % CLIENT_GROUPS) / CLIENT_GROUPS
        call = next(client)
        while not self._over.is_set():
            await self._wait_until(due)
            if self._over.is_set():
                return
            # The next call is due one period later, but a client that waited long for an answer catches up on one period at
            # most: all clients of a shop that was down would otherwise make up for its outage in one burst.
            due = min(max(due, now() - every_s), now()) + every_s
            operation = await session.do(call)
            try:
                call = client.send(operation)
            except StopIteration:
                return

    async def _wait_until(self, due: float) -> None:
        """Wait until `due`, or until a burst begins or the load is over."""
        if not self._unthrottled.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(due - asyncio.get_running_loop().time()):
                    await self._unthrottled.wait()


MakeLoad = Callable[[Workload, Shop, ClientPool, int], LoadDriver]
"""A function from the workload, the shop of its set-up, the clients and the seed to the load."""
