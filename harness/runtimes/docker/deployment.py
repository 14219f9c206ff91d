"""A shop in containers, for tests and whatever breaks a shop on purpose."""

import asyncio
from base64 import b64decode
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.store_log import Log
from harness.runtimes.docker.container import Container
from harness.runtimes.docker.supervisor import ContainerSupervisor
from harness.runtimes.docker.tail import ContainerLog
from harness.runtimes.docker.usage import Meter
from harness.runtimes.local.deployment import LocalDeployment
from harness.runtimes.local.nodes import Plan
from harness.runtimes.local.supervisor import Supervisor

T = TypeVar("T")

LARGEST = "stat -c %s /data/appendonlydir/*.aof | sort -n | tail -n 1"
ASK_THE_BROKER = ("python3", "-P", "-m", "protocols.service.dead_letters")


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
        self._watches.keep(self._meter.run, "the watch of the containers' usage")

    def usage(self) -> list[dict[str, Any]]:
        """What each container has used so far; empty before it is up."""
        return self._meter.rows() if self._meter else []

    async def _largest_file(self, name: str) -> int:
        found = await asyncio.to_thread(self._containers.containers[name].ask, ["sh", "-c", LARGEST])
        return int(found)

    async def inject_poison(self, service: str, name: str) -> Sequence[str]:
        words = [*ASK_THE_BROKER, "inject", service, name]  # twice the same messages, if the engine loses the names
        printed: bytes = await asyncio.to_thread(self._of_the_broker, lambda asks: asks.ask(words))
        return printed.decode().split()

    async def dead_letters(self) -> Sequence[bytes]:
        found = await asyncio.to_thread(self._of_the_broker, lambda asks: asks.ask([*ASK_THE_BROKER, "list"]))
        return [b64decode(line) for line in found.split()]

    def _of_the_broker(self, ask: Callable[[Container], T]) -> T:
        """It is on no network of this machine's, so a service asks it: the first that can."""
        failure = EnvironmentFailure("no service runs that could ask the broker")
        for node in self.nodes():
            if node.kind == "service" and node.state == "running":
                try:
                    return ask(self._containers.containers[node.name])
                except EnvironmentFailure as error:
                    failure = error
        raise failure

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
