"""The platform of the local runtime: every node is a process on loopback, with a proxy on each link for faults."""

import asyncio
import resource
import socket
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Capability
from harness.runtimes.deployment import process
from harness.runtimes.deployment.plan import DeploymentPlan
from harness.runtimes.deployment.platform import LinkNetwork
from harness.runtimes.deployment.ports import Ports
from harness.runtimes.deployment.process_handle import Begin
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.deployment.store_log import Log, LogWatch, largest
from harness.runtimes.local import broker_access
from harness.runtimes.local.child import ChildLife
from harness.runtimes.local.layout import direct, plan_deployment
from harness.runtimes.network.proxy import Proxy
from protocols.service.http import BACKLOG
from protocols.service.shared_socket import open_sockets

LIMITED: frozenset[Capability] = frozenset({"disk"}) if hasattr(resource, "prlimit") else frozenset()  # Linux


class LocalPlatform:
    """A `Platform` of processes."""

    begin: Begin = staticmethod(ChildLife.begin)
    capabilities = LIMITED

    def __init__(self, spec: Spec, folder: StateFolder, say: Callable[[str], None], *, volatile: bool) -> None:
        del say, volatile  # no step takes time, and all data is in the folder
        self.network: LinkNetwork = Proxy()
        self._spec = spec
        self._folder = folder
        self._plan: DeploymentPlan | None = None
        self._sockets: tuple[socket.socket, ...] = ()

    def plan(self, ports: Ports) -> DeploymentPlan:
        self.network = proxy = Proxy()
        via = proxy.add if self._spec.breakable else direct
        self._plan = plan_deployment(self._spec, self._folder, ports.take, via, self._listen)
        return self._plan

    async def make(self) -> None:
        """Do nothing: a process needs no preparation."""

    async def remove(self) -> None:
        """End the processes that nodes started and left behind, as a broker's helpers (Linux, see `process.tagged`)."""
        for each in self._sockets:
            each.close()
        if self._plan is not None:
            await asyncio.to_thread(process.end, process.tagged(self._plan.tag))

    def store_logs(self) -> Mapping[str, Log]:
        return {name: LogWatch(data, self._spec.durability) for name, data in self._planned.data.items()}

    async def largest_file(self, store: str) -> int:
        return largest(self._planned.data[store])

    async def inject_poison(self, service: str, name: str, running: Sequence[str]) -> Sequence[str]:
        del running  # the broker is reached directly
        return await broker_access.inject_poison(self._spec, self._broker_url, service, name)

    async def dead_letters(self, running: Sequence[str]) -> Sequence[bytes]:
        del running
        return await broker_access.dead_letters(self._spec, self._broker_url)

    async def settled(self) -> None:
        """Do nothing: each node's supervisor waits for the effect of its signals."""

    async def heal(self) -> None:
        """Do nothing: each node's supervisor undoes the faults of its node."""

    def watches(self) -> Iterable[tuple[Callable[[], Coroutine[Any, Any, None]], str]]:
        return ()

    def _listen(self, port: int) -> tuple[int, ...]:
        """Open the port of several gateways, for as long as the deployment is up: each of them may end and start."""
        try:
            self._sockets = open_sockets(port, BACKLOG)
        except OSError as error:
            raise EnvironmentFailure(f"cannot listen on port {port}: {error.strerror}") from None
        return tuple(each.fileno() for each in self._sockets)

    @property
    def _planned(self) -> DeploymentPlan:
        assert self._plan is not None, "used before it was planned"
        return self._plan

    @property
    def _broker_url(self) -> str:
        return next(iter(self._planned.broker_urls.values()))  # of several nodes, all addresses
