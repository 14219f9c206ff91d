"""What service processes are told to do to themselves, by whom, and that they hear of it even when they are slow to listen."""

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
from protocols.service.links.http import SECRET
from protocols.service.tasks import Background

ANSWER_WITHIN_S = 1.0
AGAIN_MS, LONGEST_AGAIN_MS = 25.0, 100.0
HEARD_WITHIN_S = 20.0  # a process that was just started has to come up first


class ProcessFaultInjector:
    """Keeps who wants what of whom. A process hears of a change at once, or as soon as it listens: a paused one later.

    What is to outlast a restart is also in the environment of its next life, so a process that ends need not hear.
    """

    def __init__(self, keeper: Callable[[str], NodeSupervisor], secret: str) -> None:
        self._keeper = keeper
        self._headers = {SECRET: secret, "content-type": "application/json"}
        self._wanted = InjectedFaults()
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._refused: dict[str, None] = {}  # who has not heard although it was told
        self._tasks = Background(lambda _: None)  # a refusal is raised, at the latest by `heal`

    async def disturb(self, by: Hashable, names: Iterable[str], faults: Faults) -> None:
        await self._tell(self._wanted.put(by, names, faults))

    async def undisturb(self, by: Hashable) -> None:
        await self._tell(self._wanted.take(by))

    async def heal(self) -> None:
        """Everybody behaves again. Raises `EnvironmentFailure` naming a process that runs and does not hear of it."""
        await self._tell(self._wanted.clear() | {*self._telling, *self._refused}, HEARD_WITHIN_S)
        if self._telling:
            names = ", ".join(self._telling)
            raise EnvironmentFailure(f"{names} did not confirm within {HEARD_WITHIN_S:g} s the end of the faults")

    async def stop(self) -> None:
        await self._tasks.stop()

    # ------------------------------------------------------------ inside

    async def _tell(self, names: Iterable[str], within_s: float = ANSWER_WITHIN_S) -> None:
        """Raises `EnvironmentFailure` for a process that refuses."""
        tasks = []
        for name in sorted(names):
            self._refused.pop(name, None)
            former = self._telling.pop(name, None)
            if former is not None:
                former.cancel()
            self._keeper(name).injected = {"WDM_FAULTS": to_json(self._wanted.lasting(name)).decode()}
            task = self._telling[name] = self._tasks.run(self._until_heard(name), f"tell {name}")
            task.add_done_callback(partial(self._told, name))
            tasks.append(task)
        if tasks:
            done, _ = await asyncio.wait(tasks, timeout=within_s)
            await asyncio.gather(*(task for task in tasks if task in done and not task.cancelled()))

    def _told(self, name: str, task: asyncio.Task[None]) -> None:
        if self._telling.get(name) is task:
            del self._telling[name]
            if not task.cancelled() and task.exception() is not None:
                self._refused[name] = None

    async def _until_heard(self, name: str) -> None:
        """Until this life of the process has heard, or is over."""
        backoff = Backoff(AGAIN_MS, LONGEST_AGAIN_MS)
        while self._keeper(name).beginning:  # by the time it can be asked who it is, it was told what was true before
            await asyncio.sleep(backoff.next_s())
        backoff.reset()
        life = self._keeper(name).identity
        body = to_json(self._wanted.of(name))
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            while (node := self._node(name)).pid is not None and self._keeper(name).identity == life:
                try:
                    async with session.post(node.url + PATH, data=body) as response:
                        if response.status == 200:
                            return
                        raise EnvironmentFailure(f"{name} refused {body!r}: {response.status} {await response.text()}")
                except (aiohttp.ClientError, TimeoutError, OSError):
                    await asyncio.sleep(backoff.next_s())

    def _node(self, name: str) -> Node:
        return self._keeper(name).node()
