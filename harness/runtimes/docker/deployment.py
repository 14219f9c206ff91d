"""A shop in containers, for tests and whatever breaks a shop on purpose."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from harness.runtimes.base import EnvironmentFailure
from harness.runtimes.docker.supervisor import ContainerSupervisor
from harness.runtimes.docker.tail import ContainerLog
from harness.runtimes.docker.usage import Meter
from harness.runtimes.local.aof import Log
from harness.runtimes.local.deployment import LocalDeployment
from harness.runtimes.local.nodes import Plan
from harness.runtimes.local.spec import Spec
from harness.runtimes.local.supervisor import Supervisor


class DockerDeployment(LocalDeployment):
    """A ``Breakable`` runtime. Its data goes with it."""

    _meter: Meter | None = None

    def _supervisor_of(self, spec: Spec, say: Callable[[str], None]) -> Supervisor:
        self._containers = ContainerSupervisor(spec, self.folder, say, volatile=True)
        return self._containers

    def _watch_logs(self, plan: Plan) -> Mapping[str, Log]:
        there = self._containers.containers
        return {member.name: ContainerLog(there[member.name], self.spec.durability) for member in plan.stores}

    async def up(self) -> None:
        await super().up()
        self._meter = Meter(self._containers.containers)
        self._watches.append(asyncio.create_task(self._meter.run(), name="usage"))

    def usage(self) -> list[dict[str, Any]]:
        """What each container has used so far; empty before it is up."""
        return self._meter.rows() if self._meter else []

    async def settled(self) -> None:
        there = self._containers.containers.values()
        for container in there:
            await container.settled()
        await super().settled()
        trouble = [words for container in there for words in container.take_trouble()]
        if trouble:
            raise EnvironmentFailure("; ".join(trouble))

    async def heal(self) -> None:
        await super().heal()
        for container in self._containers.containers.values():
            await container.thaw()
        await self.settled()
