"""A deployment inside this process's event loop: for tests, the demo and every run that breaks a shop on purpose."""

import signal
import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import ClassVar, Self

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Capability, FaultOwnership, LinkId, Node, Rule
from harness.runtimes.deployment import temporary
from harness.runtimes.deployment.copies import primaries
from harness.runtimes.deployment.platform import MakePlatform
from harness.runtimes.deployment.process_faults import ProcessFaultInjector
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.deployment.store_log import Log
from harness.runtimes.deployment.supervisor import Supervisor
from protocols.core import Config, Protocol
from protocols.registry import load
from protocols.service.faults import Faults
from protocols.service.links import transport
from protocols.service.tasks import Background, to_its_end

ALWAYS: frozenset[Capability] = frozenset({"signals", "messages", "clock", "failpoints", "drain"})
IF_BREAKABLE: frozenset[Capability] = frozenset({"links", "log-tail"})
IF_BROKERED: frozenset[Capability] = frozenset({"dead-letters"})


class Deployment(Supervisor):
    """A `Breakable` runtime of real nodes. Without a `state_dir` its state folder is temporary and removed by `down`.

    `async with LocalDeployment(Spec(protocol="2pc")) as shop` brings it up and takes it down, also after an error.
    """

    make_platform: ClassVar[MakePlatform]

    def __init__(
        self, spec: Spec, state_dir: Path | None = None, *, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._temporary = None if state_dir else temporary.make()
        folder = StateFolder(state_dir or self._temporary or Path())
        super().__init__(spec, folder, type(self).make_platform(spec, folder, say, volatile=True), say)
        self.holds = FaultOwnership()
        self._up = False
        self._process_faults: ProcessFaultInjector | None = None
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
        """Return the gateway's address. Raises `EnvironmentFailure` while nothing is up."""
        return self.plan.gateway.url

    async def up(self) -> None:
        """Start every node and return once all serve; see `Supervisor.start` for errors."""
        try:
            await self.start()
        except BaseException:
            self._remove_temporary()
            raise
        self._up = True
        self._process_faults = ProcessFaultInjector(self.supervisor, self.plan.secret)
        for job, name in self.platform.watches():
            self._watches.keep(job, name)
        if self.spec.breakable:
            self._logs = self.platform.store_logs()
            for name, log in self._logs.items():
                self._watches.keep(log.run, f"the watch of the log of {name}")

    async def down(self) -> None:
        """Stop every node and remove a temporary state folder. It may be called twice."""
        if self._up:
            self._up = False
            await to_its_end(self._stop(), "stop")  # half a stop would leave processes behind
        self._remove_temporary()

    def terminate(self, name: str) -> None:
        self.signal(name, signal.SIGTERM)

    def pause(self, name: str) -> None:
        self.signal(name, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        self.signal(name, signal.SIGCONT)

    # ------------------------------------------------------------ the port for faults

    @property
    def capabilities(self) -> frozenset[Capability]:
        brokered = IF_BROKERED if transport(self.spec.transport).broker else ALWAYS
        return ALWAYS | self.platform.capabilities | brokered | (IF_BREAKABLE if self.spec.breakable else ALWAYS)

    def revive(self, name: str) -> None:
        self.supervisor(name).revive()

    def links(self) -> tuple[LinkId, ...]:
        return self.platform.network.link_ids

    def apply_rule(self, by: Hashable, links: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        self.platform.network.apply_rule(by, links, rule, rng)

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        self.platform.network.remove_rules(by, reset=reset)

    def configured(self) -> tuple[Protocol, Config]:
        protocol = load(self.spec.protocol)
        return protocol, protocol.configure(self.spec.options, self.spec.ablate)

    async def disturb(self, by: Hashable, names: Iterable[str], faults: Faults) -> None:
        if self._process_faults is not None:
            await self._process_faults.disturb(by, names, faults)

    async def undisturb(self, by: Hashable) -> None:
        if self._process_faults is not None:
            await self._process_faults.undisturb(by)

    async def cut_tail(self, name: str, rng: Random) -> str:
        """Cut the log of a store that is down; return the loss in words. Raises `KeyError` without `breakable`."""
        return f"{name}: {await self._logs[name].cut(time.monotonic(), rng)}"

    async def fill_disk(self, name: str) -> None:
        self.supervisor(name).limit_files(await self.platform.largest_file(name))
        self._full[name] = None

    async def free_disk(self, name: str) -> None:
        self._full.pop(name, None)
        self.supervisor(name).limit_files(None)

    def primaries(self) -> Mapping[str, str]:
        """Return the primaries by the elector; empty without copies, and without an answer of the elector."""
        return primaries(self.spec, self.nodes(), self.plan.store_urls, self.plan.secret)

    async def empty_store(self, name: str) -> str:
        raise EnvironmentFailure(f"the data of {name} cannot be deleted here")

    async def start_elector(self) -> None:
        raise EnvironmentFailure("a second elector cannot be started here")

    async def stop_elector(self) -> None:
        """Do nothing: there is no second one."""

    async def inject_poison(self, service: str, name: str) -> Sequence[str]:
        return await self.platform.inject_poison(service, name, self._running_services())

    async def dead_letters(self) -> Sequence[bytes]:
        return await self.platform.dead_letters(self._running_services())

    async def heal(self) -> None:
        """Undo every fault: first of the nodes, since a paused or dead process cannot take back its own faults."""
        for node in self.nodes():
            if node.state == "paused":
                self.resume(node.name)
            elif node.state == "down":
                self.revive(node.name)
        for name in tuple(self._full):
            await self.free_disk(name)
        self.platform.network.remove_all_rules()
        if self._process_faults is not None:
            await self._process_faults.heal()
        await self.platform.heal()

    # ------------------------------------------------------------ beyond the port

    @property
    def secret(self) -> str:
        """Return the secret that services show each other, for `/internal` of a service's own address."""
        return self.plan.secret

    def node(self, name: str) -> Node:
        """Return a node by its name. Raises `KeyError` listing the nodes."""
        return self.supervisor(name).node()

    def store_url(self, service: str) -> str:
        """Return the address of a service's store, with its password."""
        return self.plan.store_urls[service]

    def broker_url(self, client: str) -> str:
        """Return the broker's addresses for a service process, with passwords. Raises `KeyError` if there is none."""
        return self.plan.broker_urls[client]

    def log(self, name: str) -> Path:
        """Return the file with the output of a node over all its lives."""
        return self.folder.logs / f"{name}.log"

    def _running_services(self) -> list[str]:
        return [node.name for node in self.nodes() if node.kind == "service" and node.state == "running"]

    async def _stop(self) -> None:
        await self._watches.stop()
        if self._process_faults is not None:
            await self._process_faults.stop()
        await self.stop()

    def _remove_temporary(self) -> None:
        if self._temporary is not None:
            temporary.remove(self._temporary)
