"""Brings a deployment up, keeps it up, takes it down: one keeper a node, one state folder.

Everything that can be refused is refused before the first process starts. What a supervisor that was killed left
behind is ended first, by the next supervisor of the same folder or by ``wdm down``.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Hashable, Iterable
from contextlib import ExitStack, suppress
from random import Random
from typing import Protocol

from harness.errors import EnvironmentFailure
from harness.runtimes.base import LinkId, Node, Rule
from harness.runtimes.deployment import control, limits, process, watchdog
from harness.runtimes.deployment.node_supervisor import NodeSupervisor
from harness.runtimes.deployment.ports import Ports, is_free, why_taken
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import Deployment, Record, StateFolder
from harness.runtimes.deployment.status_writer import StatusWriter
from harness.runtimes.local.nodes import NodeSpec, Plan, direct, lay_out
from harness.runtimes.network.proxy import Proxy
from protocols.service.tasks import begin

START_WITHIN_S = 30.0


class Network(Protocol):
    """What stands on the links of a deployment, as far as it was made for it (``Wires`` says what for)."""

    @property
    def wires(self) -> tuple[LinkId, ...]: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def apply_rule(self, by: Hashable, wires: Iterable[LinkId], rule: Rule, rng: Random) -> None: ...

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None: ...

    def remove_all_rules(self) -> None:
        """Take back every rule."""

    async def settled(self) -> None:
        """Return once all of this is done. Raises ``EnvironmentFailure`` for what could not be."""


class Supervisor:
    """Of processes; the docker runtime's is of containers. ``say`` hears one line about each step of starting and stopping."""

    def __init__(self, spec: Spec, folder: StateFolder, say: Callable[[str], None] = lambda _: None) -> None:
        self.spec = spec
        self.folder = folder
        self.network: Network = Proxy()
        self._say = say = unbroken(say)
        self._keepers: dict[str, NodeSupervisor] = {}
        self._plan: Plan | None = None
        self._deployment: Deployment | None = None
        self._status = StatusWriter(folder, say)
        self._resources = ExitStack()

    @property
    def plan(self) -> Plan:
        if self._plan is None:
            raise EnvironmentFailure(f"nothing is up in {self.folder.path}")
        return self._plan

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Everything serves afterwards, or nothing runs and ``UsageError`` or ``EnvironmentFailure`` is raised."""
        self.spec.check()
        limits.check(self.spec)
        self.folder.take()
        self._resources.callback(self.folder.leave)
        self._resources.callback(self._status.stop)
        self._status.start()
        try:
            await self._clean_up()
            self._lay_out()
            await self._start_all()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End every node, the ones that depend on others first, and leave the folder."""
        self._note("stopping")
        for kind in ("gateway", "service", "broker", "store"):
            await asyncio.gather(*(one.stop() for one in self._keepers.values() if one.member.kind == kind))
        await self.network.stop()
        await self._leave_nothing()
        self._keepers.clear()
        self._plan = self._deployment = None
        self._resources.close()

    def nodes(self) -> tuple[Node, ...]:
        return tuple(one.node() for one in self._keepers.values())

    def keeper(self, name: str) -> NodeSupervisor:
        """Raises ``KeyError`` naming the nodes there are."""
        if name not in self._keepers:
            raise KeyError(f"no node {name!r}; there are: {', '.join(self._keepers) or 'none'}")
        return self._keepers[name]

    # ------------------------------------------------------------ faults

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        self.keeper(name).kill(stay_down=stay_down)

    def signal(self, name: str, number: signal.Signals) -> None:
        self.keeper(name).signal(number)

    async def restart(self, name: str) -> None:
        await self.keeper(name).restart(START_WITHIN_S)

    async def settled(self) -> None:
        """Return once kills and rules have had their effect. Raises ``EnvironmentFailure`` for what has none."""
        for one in self._keepers.values():
            await one.settled()
        await self.network.settled()

    async def serving(self, name: str, within_s: float) -> None:
        await self.keeper(name).serving(within_s)

    # ------------------------------------------------------------ inside

    async def _clean_up(self) -> None:
        ended = await asyncio.to_thread(control.end_leftovers, self.folder)
        if ended:
            self._say(f"ended what a killed supervisor had left behind: {', '.join(ended)}")

    def _lay_out(self) -> None:
        if self.spec.port and not is_free(self.spec.port):
            raise EnvironmentFailure(
                f"port {self.spec.port} is {why_taken(self.spec.port)}; choose another with --port, or --port 0 for any free one"
            )
        ports = Ports(avoid=self.spec.port)
        self._resources.callback(ports.close)
        self._plan = laid = self._plan_with(ports)
        guarded = watchdog.Guarded(folder=str(self.folder.path), tag=laid.tag, docker=self.spec.runtime == "docker")
        watchdog.guard(guarded)
        self._resources.callback(watchdog.release, guarded)
        self._keepers = {member.name: self._keep(member) for member in laid.members}
        self._deployment = Deployment(
            tag=laid.tag,
            phase="starting",
            supervisor=os.getpid(),
            gateway=laid.gateway.url,
            runtime=self.spec.runtime,
            spec=self.spec,
            secret=laid.secret,
            store_urls=dict(laid.store_urls),
            nodes=[],
        )
        self._note("starting")

    def _plan_with(self, ports: Ports) -> Plan:
        self.network = proxy = Proxy()
        return lay_out(self.spec, self.folder, ports.take, proxy.add if self.spec.breakable else direct)

    def _keep(self, member: NodeSpec) -> NodeSupervisor:
        return NodeSupervisor(member, self.spec.respawn_after_s, self._write, report=self._say)

    async def _make(self) -> None:
        """What has to be there before the first node starts."""

    async def _leave_nothing(self) -> None:
        """End the processes that nodes started and left behind, like a broker's helpers (Linux, see ``process.tagged``)."""
        if self._plan is not None:
            await asyncio.to_thread(process.end, process.tagged(self._plan.tag))

    async def _start_all(self) -> None:
        limits.allow_many_files()
        await self._make()
        await self.network.start()
        brokers = f" and the broker of {self.spec.transport}" if self.plan.brokers else ""
        self._say(f"starting {len(self.plan.stores)} stores{brokers}")
        await self._start_some((*self.plan.stores, *self.plan.brokers))
        self._say(f"starting {len(self.plan.services)} service processes and the gateway")
        await self._start_some((*self.plan.services, self.plan.gateway))
        self._note("up")

    async def _start_some(self, members: Iterable[NodeSpec]) -> None:
        chosen = [self._keepers[member.name] for member in members]
        for one in chosen:
            one.start()
        try:
            async with asyncio.TaskGroup() as group:
                for one in chosen:
                    group.create_task(one.serving(START_WITHIN_S))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _note(self, phase: str) -> None:
        if self._deployment is not None:
            self._deployment.phase = phase  # type: ignore[assignment]
            self._write()

    def _write(self) -> None:
        if self._deployment is not None:
            self._deployment.nodes = [_record(one) for one in self._keepers.values()]
            self._status.write(self._deployment)


def _record(one: NodeSupervisor) -> Record:
    member, identity = one.member, one.identity
    return Record(
        name=member.name,
        kind=member.kind,
        service=member.service,
        url=member.url,
        port=member.port,
        state=one.state,
        pid=identity.pid if identity else None,
        started=identity.started if identity else "",
    )


def unbroken(say: Callable[[str], None]) -> Callable[[str], None]:
    """The same without errors: a closed pipe or a full disk below the words must not end the work that they are about."""

    def quietly(text: str) -> None:
        with suppress(OSError):
            say(text)

    return quietly


def supervisor_of(spec: Spec) -> type[Supervisor]:
    """Imported when it is asked for: who needs no engine pays for none."""
    if spec.runtime == "local":
        return Supervisor
    from harness.runtimes.docker.supervisor import ContainerSupervisor  # noqa: PLC0415

    return ContainerSupervisor


async def run(
    spec: Spec,
    folder: StateFolder,
    ready: Callable[[Supervisor], None],
    say: Callable[[str], None] = lambda _: None,
) -> signal.Signals:
    """Up until SIGINT or SIGTERM, then down. ``ready`` is called once everything serves. Returns the signal."""
    say = unbroken(say)
    supervisor = supervisor_of(spec)(spec, folder, say)
    loop = asyncio.get_running_loop()
    told: asyncio.Future[signal.Signals] = loop.create_future()

    def tell(number: signal.Signals) -> None:
        if not told.done():
            told.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup ignores SIGHUP for us, and means it; a shell's `&` ignores SIGINT too, but then somebody sent it on purpose
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, tell, number)
    starting = begin(supervisor.start(), "start")
    await asyncio.wait((starting, told), return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait((starting,))
    if not starting.cancelled():
        starting.result()
        try:
            if not told.done():
                ready(supervisor)
            await told
        finally:
            say("stopping")
            await supervisor.stop()
    return told.result()
