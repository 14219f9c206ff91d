"""A local shop inside this process's event loop: for tests, the demo and whatever breaks a shop on purpose."""

import asyncio
import resource
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self, TypeVar

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Capability, FaultOwnership, LinkId, Node, Rule
from harness.runtimes.deployment import temporary
from harness.runtimes.deployment.process_faults import ProcessFaultInjector
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.deployment.store_log import Log, LogWatch, largest
from harness.runtimes.local.nodes import Plan
from harness.runtimes.local.supervisor import Supervisor
from protocols.core import Config, Protocol
from protocols.registry import load
from protocols.service.faults import Faults
from protocols.service.links import poison, transport
from protocols.service.links.broker import BrokerLost
from protocols.service.tasks import Background, begin

T = TypeVar("T")
ALWAYS: frozenset[Capability] = frozenset({"signals", "messages", "clock", "failpoints"})
IF_BREAKABLE: frozenset[Capability] = frozenset({"links", "log-tail"})
IF_BROKERED: frozenset[Capability] = frozenset({"dead-letters"})
IF_LIMITED: frozenset[Capability] = frozenset({"disk"}) if hasattr(resource, "prlimit") else frozenset()  # Linux


class LocalDeployment:
    """A ``Breakable`` runtime. Without a ``state_dir`` it lives in a temporary folder that is gone afterwards.

    ``async with LocalDeployment(Spec(protocol="2pc")) as shop`` brings it up and takes it down, whatever happens.
    """

    def __init__(
        self, spec: Spec, state_dir: Path | None = None, *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self.spec = spec
        self._temporary = None if state_dir else temporary.make()
        self.folder = StateFolder(state_dir or self._temporary or Path())
        self._supervisor = self._supervisor_of(spec, say)
        self._up = False
        self.holds = FaultOwnership()
        self._insides: ProcessFaultInjector | None = None
        self._logs: Mapping[str, Log] = {}
        self._watches = Background(say)
        self._full: dict[str, None] = {}

    async def __aenter__(self) -> Self:
        await self.up()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.down()

    # ------------------------------------------------------------ the runtime's port

    @property
    def url(self) -> str:
        return self._supervisor.plan.gateway.url

    async def up(self) -> None:
        try:
            await self._supervisor.start()
        except BaseException:
            self._remove_temporary()
            raise
        self._up = True
        plan = self._supervisor.plan
        self._insides = ProcessFaultInjector(self._supervisor.keeper, plan.secret)
        if self.spec.breakable:
            self._logs = self._watch_logs(plan)
            for name, log in self._logs.items():
                self._watches.keep(log.run, f"the watch of the log of {name}")

    async def down(self) -> None:
        if self._up:
            self._up = False
            await _to_its_end(self._stop())
        self._remove_temporary()

    def nodes(self) -> tuple[Node, ...]:
        return self._supervisor.nodes()

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        self._supervisor.kill(name, stay_down=stay_down)

    def terminate(self, name: str) -> None:
        """Ask a node to stop, as an operator or a container engine does; it is started again as after any other end."""
        self._supervisor.signal(name, signal.SIGTERM)

    def pause(self, name: str) -> None:
        self._supervisor.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self._supervisor.signal(name, signal.SIGCONT)

    async def restart(self, name: str) -> None:
        await self._supervisor.restart(name)

    async def settled(self) -> None:
        await self._supervisor.settled()

    # ------------------------------------------------------------ what it offers to faults

    @property
    def capabilities(self) -> frozenset[Capability]:
        dead_letters = IF_BROKERED if transport(self.spec.transport).broker else ALWAYS
        return ALWAYS | IF_LIMITED | dead_letters | (IF_BREAKABLE if self.spec.breakable else ALWAYS)

    def revive(self, name: str) -> None:
        self._supervisor.keeper(name).revive()

    def links(self) -> tuple[LinkId, ...]:
        return self._supervisor.network.wires

    def apply_rule(self, by: Hashable, links: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        self._supervisor.network.apply_rule(by, links, rule, rng)

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        self._supervisor.network.remove_rules(by, reset=reset)

    def configured(self) -> tuple[Protocol, Config]:
        protocol = load(self.spec.protocol)
        return protocol, protocol.configure(self.spec.options, self.spec.ablate)

    async def disturb(self, by: Hashable, names: Iterable[str], faults: Faults) -> None:
        if self._insides is not None:
            await self._insides.disturb(by, names, faults)

    async def undisturb(self, by: Hashable) -> None:
        if self._insides is not None:
            await self._insides.undisturb(by)

    async def cut_tail(self, name: str, rng: Random) -> str:
        return f"{name}: {await self._logs[name].cut(time.monotonic(), rng)}"

    async def fill_disk(self, name: str) -> None:
        self._supervisor.keeper(name).limit_files(await self._largest_file(name))
        self._full[name] = None

    async def free_disk(self, name: str) -> None:
        self._full.pop(name, None)
        self._supervisor.keeper(name).limit_files(None)

    async def inject_poison(self, service: str, name: str) -> Sequence[str]:
        protocol = load(self.spec.protocol)
        config = protocol.configure(self.spec.options, self.spec.ablate)
        made = poison.messages(protocol, config, service, name)
        link = transport(self.spec.transport)
        await _of_the_broker(link.publish(self._any_way_to_the_broker(), service, *made.values()))
        return tuple(made)

    async def dead_letters(self) -> Sequence[bytes]:
        return await _of_the_broker(transport(self.spec.transport).dead_letters(self._any_way_to_the_broker()))

    async def heal(self) -> None:
        for node in self.nodes():
            if node.state == "paused":
                self.resume(node.name)
            elif node.state == "down":
                self.revive(node.name)
        for name in tuple(self._full):
            await self.free_disk(name)
        self._supervisor.network.remove_all_rules()
        if self._insides is not None:
            await self._insides.heal()

    # ------------------------------------------------------------ what only this runtime knows

    @property
    def secret(self) -> str:
        """What services show each other, for ``/internal`` of a service's own address."""
        return self._supervisor.plan.secret

    def node(self, name: str) -> Node:
        """Raises ``KeyError`` naming the nodes there are."""
        found = {node.name: node for node in self.nodes()}
        if name not in found:
            raise KeyError(f"no node {name!r}; there are: {', '.join(found)}")
        return found[name]

    def store_url(self, service: str) -> str:
        """The address of a service's store, with its password."""
        return self._supervisor.plan.store_urls[service]

    def broker_url(self, client: str) -> str:
        """The address of the broker for a service process, with its password. Raises ``KeyError`` if there is none."""
        return self._supervisor.plan.broker_urls[client]

    def log(self, name: str) -> Path:
        """The file with what the node said, over all its lives."""
        return self.folder.logs / f"{name}.log"

    async def serving(self, name: str, within_s: float = 10.0) -> None:
        """Return once the node serves, now or after its respawn. Raises ``EnvironmentFailure`` after ``within_s``."""
        await self._supervisor.serving(name, within_s)

    def _any_way_to_the_broker(self) -> str:
        return next(iter(self._supervisor.plan.broker_urls.values()))

    async def _largest_file(self, name: str) -> int:
        """In bytes, of a store's log: what it has reached is where its disk ends."""
        return largest(self._supervisor.plan.data[name])

    def _supervisor_of(self, spec: Spec, say: Callable[[str], None]) -> Supervisor:
        return Supervisor(spec, self.folder, say)

    def _watch_logs(self, plan: Plan) -> Mapping[str, Log]:
        return {name: LogWatch(data, self.spec.durability) for name, data in plan.data.items()}

    async def _stop(self) -> None:
        await self._watches.stop()
        if self._insides is not None:
            await self._insides.stop()
        await self._supervisor.stop()

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            temporary.remove(self._temporary)


async def _of_the_broker(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except BrokerLost as lost:
        raise EnvironmentFailure(f"the broker cannot be asked: {lost}") from lost


async def _to_its_end(work: Coroutine[None, None, None]) -> None:
    """Whoever is cancelled meanwhile hears of it when the work is done: half a stop would leave processes behind."""
    task = begin(work, "stop")
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
