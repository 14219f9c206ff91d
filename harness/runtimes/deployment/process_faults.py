"""Delivery of injected faults to service processes, over HTTP, also to processes that are slow to accept a request."""

import asyncio
from collections.abc import Callable, Hashable, Iterable
from functools import partial

import aiohttp

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Node
from harness.runtimes.deployment.injected_faults import InjectedFaults
from harness.runtimes.deployment.node_supervisor import NodeSupervisor
from protocols.backoff import Backoff
from protocols.service.faults import PATH, Faults, to_json
from protocols.service.links.peers import SECRET
from protocols.service.tasks import Background

ANSWER_WITHIN_S = 1.0
AGAIN_MS, LONGEST_AGAIN_MS = 25.0, 100.0
DELIVERED_WITHIN_S = 20.0  # a process that was just started has to serve first


class ProcessFaultInjector:
    """The faults injected into each process, and the deliveries under way: a paused process receives its faults on resume.

    Faults that outlast a restart are also in the environment of the next life, so a process that ends needs no delivery.
    """

    def __init__(self, supervisor_of: Callable[[str], NodeSupervisor], secret: str) -> None:
        self._supervisor_of = supervisor_of
        self._headers = {SECRET: secret, "content-type": "application/json"}
        self._wanted = InjectedFaults()
        self._deliveries: dict[str, asyncio.Task[None]] = {}
        self._rejected: dict[str, None] = {}  # processes whose last delivery failed, and that may still misbehave
        self._tasks = Background(lambda _: None)  # a rejection is raised, at the latest by `heal`

    async def disturb(self, by: Hashable, names: Iterable[str], faults: Faults) -> None:
        """Inject faults into processes, owned by `by`. Raises `EnvironmentFailure` for a process that rejects them."""
        await self._send_all(self._wanted.put(by, names, faults))

    async def undisturb(self, by: Hashable) -> None:
        """Remove the faults of the owner `by`. Raises as `disturb` does."""
        await self._send_all(self._wanted.take(by))

    async def heal(self) -> None:
        """Remove all faults. Raises `EnvironmentFailure` naming a process that runs and cannot be reached."""
        await self._send_all(self._wanted.clear() | {*self._deliveries, *self._rejected}, DELIVERED_WITHIN_S)
        if self._deliveries:
            names = ", ".join(self._deliveries)
            raise EnvironmentFailure(f"{names} did not confirm within {DELIVERED_WITHIN_S:g} s the end of the faults")

    async def stop(self) -> None:
        """Cancel the deliveries under way."""
        await self._tasks.stop()

    # ------------------------------------------------------------ inside

    async def _send_all(self, names: Iterable[str], within_s: float = ANSWER_WITHIN_S) -> None:
        """Deliver the present faults to each process; return after `within_s`, deliveries may go on.

        Raises `EnvironmentFailure` for a process that rejects them.
        """
        tasks = []
        for name in sorted(names):
            self._rejected.pop(name, None)
            former = self._deliveries.pop(name, None)
            if former is not None:
                former.cancel()  # it could arrive after the newer one, and bring back the faults of before
            self._supervisor_of(name).injected = {"WDM_FAULTS": to_json(self._wanted.lasting(name)).decode()}
            task = self._deliveries[name] = self._tasks.run(self._deliver(name), f"faults for {name}")
            task.add_done_callback(partial(self._delivered, name))
            tasks.append(task)
        if tasks:
            done, _ = await asyncio.wait(tasks, timeout=within_s)
            await asyncio.gather(*(task for task in tasks if task in done and not task.cancelled()))

    def _delivered(self, name: str, task: asyncio.Task[None]) -> None:
        if self._deliveries.get(name) is task:
            del self._deliveries[name]
            if not task.cancelled() and task.exception() is not None:
                self._rejected[name] = None

    async def _deliver(self, name: str) -> None:
        """Send the faults until this life of the process has acknowledged them, or is over."""
        backoff = Backoff(AGAIN_MS, LONGEST_AGAIN_MS)
        # A life that is being started has the variables of before, and no identity yet: without this wait the loop below would
        # find no process, take it for ended and leave it with the former faults.
        while self._supervisor_of(name).beginning:
            await asyncio.sleep(backoff.next_s())
        backoff.reset()
        life = self._supervisor_of(name).identity
        body = to_json(self._wanted.of(name))
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            while (node := self._node(name)).pid is not None and self._supervisor_of(name).identity == life:
                try:
                    async with session.post(node.url + PATH, data=body) as response:
                        if response.status == 200:
                            return
                        raise EnvironmentFailure(f"{name} rejected {body!r}: {response.status} {await response.text()}")
                except (aiohttp.ClientError, TimeoutError, OSError):
                    await asyncio.sleep(backoff.next_s())

    def _node(self, name: str) -> Node:
        return self._supervisor_of(name).node()
