"""What the clients do: the set-up, and the load of a run."""

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

AT_ONCE = 16
GROUPS = 2
"""Clients ask in so many groups, each all at once: evenly spread they would hardly ever meet."""


class SetupFailed(Exception):
    """The shop did not do what the run needs; nothing is known of it."""


class ClientPool:
    """Makes sessions, so that no two of a run have a process number in common."""

    def __init__(self, client: Caller, recorder: Recorder) -> None:
        self.recorder = recorder
        self._client = client
        self._processes = Processes()

    def session(self) -> Session:
        return Session(self._client, self.recorder, self._processes)

    async def all_of(self, calls: Sequence[Call]) -> list[Operation]:
        """Every one of `calls`, up to `AT_ONCE` side by side, each asked once; results in the order of the calls."""
        found: dict[int, Operation] = {}
        waiting = iter(enumerate(calls))

        async def work() -> None:
            session = self.session()
            for number, asked in waiting:
                found[number] = await session.do(asked)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(AT_ONCE, len(calls))):
                    group.create_task(work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [found[number] for number in range(len(calls))]


async def set_up(workload: Workload, clients: ClientPool, seed: int) -> Shop:
    """Make what the workload needs. Raises `SetupFailed` with the first answer that was no success."""
    rounds = workload.setup(stream(seed, "workload:setup"))
    try:
        calls = next(rounds)
        while True:
            done = await clients.all_of(calls)
            for operation in done:
                if operation.outcome != "ok":
                    raise SetupFailed(f"set-up: {operation.op}{tuple(operation.args)} was answered {operation.value!r}")
            calls = rounds.send(done)
    except StopIteration as end:
        shop: Shop = end.value
        return shop


class LoadDriver(Protocol):
    """What asks during a run."""

    async def ready(self) -> None:
        """What goes before the load that is judged by the clock. Raises `SetupFailed`."""

    def start(self, breaks_at: Sequence[float]) -> None:
        """Something will break so many seconds from now, each."""

    async def broken(self) -> None:
        """Returns when there is nothing more to ask, if ever. Raises what a client's task raised."""

    def stop(self) -> None:
        """Nothing more is asked; what is under way is still answered, or times out."""

    async def drained(self) -> None:
        """Return once everybody has heard."""

    async def abandon(self) -> None:
        """Drop what is under way."""


class ClosedLoad:
    """`workload.clients` clients, each asking one thing after another until `stop`."""

    def __init__(self, workload: Workload, shop: Shop, clients: ClientPool, seed: int) -> None:
        self._workload = workload
        self._shop = shop
        self._clients = clients
        self._seed = seed
        self._over = asyncio.Event()
        self._no_waiting = asyncio.Event()
        """Set while there is a burst, and from the end on: nobody waits for a turn then."""
        self._breaks = False
        self._bursts: list[asyncio.TimerHandle] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def ready(self) -> None:
        """Nothing."""

    def start(self, breaks_at: Sequence[float]) -> None:
        self._breaks = bool(breaks_at)
        loop, burst_s = asyncio.get_running_loop(), self._workload.burst_s
        for at_s in breaks_at if burst_s else ():
            self._bursts.append(loop.call_later(max(0.0, at_s - burst_s), self._no_waiting.set))
            # A little longer: an engine of containers takes its time to kill one.
            self._bursts.append(loop.call_later(at_s + burst_s / 2, self._no_waiting.clear))
        for number in range(self._workload.clients):
            client = self._workload.client(self._shop, number, stream(self._seed, f"workload:{number}"))
            self._tasks.append(start_task(self._drive(client, number), f"client {number}"))

    async def broken(self) -> None:
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
        if self._breaks:  # the faults are still due, and so is the time in which they happen
            await asyncio.sleep(math.inf)

    def stop(self) -> None:
        for burst in self._bursts:
            burst.cancel()
        self._over.set()
        self._no_waiting.set()

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
        turn = now() + every_s * (number % GROUPS) / GROUPS
        asked = next(client)
        while not self._over.is_set():
            await self._until(turn)
            if self._over.is_set():
                return
            turn = min(max(turn, now() - every_s), now()) + every_s  # what was missed is not made up for
            operation = await session.do(asked)
            try:
                asked = client.send(operation)
            except StopIteration:
                return

    async def _until(self, turn: float) -> None:
        """Or until nobody waits: in a burst, and when the load is over."""
        if not self._no_waiting.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(turn - asyncio.get_running_loop().time()):
                    await self._no_waiting.wait()


MakeLoad = Callable[[Workload, Shop, ClientPool, int], LoadDriver]
"""Hears the workload, what its set-up made, who asks, and the seed."""
