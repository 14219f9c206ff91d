"""The supervisor of a deployment: it starts, watches and stops the nodes, with one supervisor a node and one state folder.

Every error that can be found is raised before the first process starts. The rest of a deployment whose supervisor was
killed is ended first, by the next supervisor of the same folder or by `wdm down`.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Node
from harness.runtimes.deployment import control, limits, watchdog
from harness.runtimes.deployment.node_supervisor import NodeSupervisor
from harness.runtimes.deployment.plan import DeploymentPlan, NodeSpec
from harness.runtimes.deployment.platform import Platform
from harness.runtimes.deployment.ports import Ports, is_free, why_taken
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import DeploymentRecord, Record, StateFolder
from harness.runtimes.deployment.status_writer import StatusWriter

START_WITHIN_S = 30.0
CLUSTER_WITHIN_S = 120.0
"""A broker of several nodes serves when the last of them has met the others."""


class Supervisor:
    """The life of a deployment, on a `platform` of processes or of containers.

    `say` receives one line about each step of starting and stopping.
    """

    def __init__(
        self,
        spec: Spec,
        folder: StateFolder,
        platform: Platform,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.spec = spec
        self.folder = folder
        self.platform = platform
        self._say = say = unbroken(say)
        self._supervised: dict[str, NodeSupervisor] = {}
        self._plan: DeploymentPlan | None = None
        self._deployment: DeploymentRecord | None = None
        self._status = StatusWriter(folder, say)
        self._resources = ExitStack()

    @property
    def plan(self) -> DeploymentPlan:
        """Return the plan. Raises `EnvironmentFailure` while nothing is up."""
        if self._plan is None:
            raise EnvironmentFailure(f"nothing is up in {self.folder.path}")
        return self._plan

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Start every node and return once all serve. Raises `UsageError` or `EnvironmentFailure` after stopping everything."""
        self.spec.check()
        limits.check(self.spec)
        self.folder.take()
        self._resources.callback(self.folder.leave)
        self._resources.callback(self._status.stop)
        self._status.start()
        try:
            await self._clean_up()
            self._make_plan()
            await self._start_all()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End every node, each before those that it depends on, and leave the folder."""
        self._set_phase("stopping")
        for kind in ("gateway", "service", "broker", "elector", "store"):
            await asyncio.gather(
                *(supervisor.stop() for supervisor in self._supervised.values() if supervisor.node_spec.kind == kind)
            )
        await self.platform.network.stop()
        await self.platform.remove()
        self._supervised.clear()
        self._plan = self._deployment = None
        self._resources.close()

    def nodes(self) -> tuple[Node, ...]:
        return tuple(supervisor.node() for supervisor in self._supervised.values())

    def supervisor(self, name: str) -> NodeSupervisor:
        """Return the supervisor of a node. Raises `KeyError` listing the nodes."""
        if name not in self._supervised:
            raise KeyError(f"no node {name!r}; there are: {', '.join(self._supervised) or 'none'}")
        return self._supervised[name]

    # ------------------------------------------------------------ faults

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        self.supervisor(name).kill(stay_down=stay_down)

    def signal(self, name: str, number: signal.Signals) -> None:
        self.supervisor(name).signal(number)

    async def restart(self, name: str) -> None:
        await self.supervisor(name).restart(START_WITHIN_S)

    async def settled(self) -> None:
        """Return once kills and rules have had their effect. Raises `EnvironmentFailure` naming one that has none."""
        await self.platform.settled()
        for supervisor in self._supervised.values():
            await supervisor.settled()
        await self.platform.network.settled()

    async def serving(self, name: str, within_s: float = 10.0) -> None:
        """Return once the node serves, now or after its respawn. Raises `EnvironmentFailure` after `within_s`."""
        await self.supervisor(name).serving(within_s)

    # ------------------------------------------------------------ inside

    async def _clean_up(self) -> None:
        ended = await asyncio.to_thread(control.end_leftovers, self.folder)
        if ended:
            self._say(f"ended the nodes that a killed supervisor had left behind: {', '.join(ended)}")

    def _make_plan(self) -> None:
        if self.spec.port and not is_free(self.spec.port):
            raise EnvironmentFailure(
                f"port {self.spec.port} is {why_taken(self.spec.port)}; choose another with --port, or --port 0 for any free one"
            )
        ports = Ports(avoid=self.spec.port)
        self._resources.callback(ports.close)
        self._plan = plan = self.platform.plan(ports)
        guarded = watchdog.Guarded(folder=str(self.folder.path), tag=plan.tag)
        watchdog.guard(guarded)
        self._resources.callback(watchdog.release, guarded)
        self._supervised = {node.name: self._supervise(node) for node in plan.nodes}
        self._deployment = DeploymentRecord(
            tag=plan.tag,
            phase="starting",
            supervisor=os.getpid(),
            gateway=plan.gateway.url,
            runtime=self.spec.runtime,
            spec=self.spec,
            secret=plan.secret,
            store_urls=dict(plan.store_urls),
            nodes=[],
        )
        self._set_phase("starting")

    def _supervise(self, node: NodeSpec) -> NodeSupervisor:
        begin = self.platform.begin
        return NodeSupervisor(node, self.spec.respawn_after_s, self._write_status, begin, self._say)

    async def _start_all(self) -> None:
        limits.allow_many_files()
        await self.platform.make()
        await self.platform.network.start()
        brokers = f" and the broker of {self.spec.transport}" if self.plan.brokers else ""
        self._say(f"starting {len(self.plan.stores)} stores{brokers}")
        within_s = CLUSTER_WITHIN_S if len(self.plan.brokers) > 1 else START_WITHIN_S
        await self._start_some((*self.plan.stores, *self.plan.electors, *self.plan.brokers), within_s)
        self._say(f"starting {len(self.plan.services)} service processes and the gateway")
        await self._start_some((*self.plan.services, *self.plan.gateways))
        self._set_phase("up")

    async def _start_some(self, node_specs: Iterable[NodeSpec], within_s: float = START_WITHIN_S) -> None:
        chosen = [self._supervised[node_spec.name] for node_spec in node_specs]
        for supervisor in chosen:
            supervisor.start()
        try:
            async with asyncio.TaskGroup() as group:
                for supervisor in chosen:
                    group.create_task(supervisor.serving(within_s))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _set_phase(self, phase: str) -> None:
        if self._deployment is not None:
            self._deployment.phase = phase  # type: ignore[assignment]
            self._write_status()

    def _write_status(self) -> None:
        if self._deployment is not None:
            self._deployment.nodes = [_record(supervisor) for supervisor in self._supervised.values()]
            self._status.write(self._deployment)


def _record(supervisor: NodeSupervisor) -> Record:
    node_spec, identity = supervisor.node_spec, supervisor.identity
    return Record(
        name=node_spec.name,
        kind=node_spec.kind,
        service=node_spec.service,
        url=node_spec.url,
        port=node_spec.port,
        state=supervisor.state,
        pid=identity.pid if identity else None,
        started=identity.started if identity else "",
    )


def unbroken(say: Callable[[str], None]) -> Callable[[str], None]:
    """Return `say` without its `OSError`s: a closed pipe or a full disk must not end the work that the lines are about."""

    def quietly(text: str) -> None:
        with suppress(OSError):
            say(text)

    return quietly
