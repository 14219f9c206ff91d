"""The port of what a deployment runs on: processes of this machine, or containers."""

from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, Protocol

from harness.runtimes.base import Capability, LinkId, Rule
from harness.runtimes.deployment.plan import DeploymentPlan
from harness.runtimes.deployment.ports import Ports
from harness.runtimes.deployment.process_handle import Begin
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.deployment.store_log import Log


class LinkNetwork(Protocol):
    """The proxies on the links of a deployment, if it was made for faults of links (`NetworkFaults`)."""

    @property
    def wires(self) -> tuple[LinkId, ...]: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def apply_rule(self, by: Hashable, wires: Iterable[LinkId], rule: Rule, rng: Random) -> None: ...

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None: ...

    def remove_all_rules(self) -> None:
        """Remove every rule."""

    async def settled(self) -> None:
        """Return once all of this is done. Raises `EnvironmentFailure` for what could not be."""


class Platform(Protocol):
    """A strategy of a deployment. Everything may raise `EnvironmentFailure`."""

    network: LinkNetwork

    @property
    def begin(self) -> Begin:
        """Return the function that begins one life of a node."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Return what faults may ask of it, whatever its nodes are."""

    def plan(self, ports: Ports) -> DeploymentPlan:
        """Plan every node; nothing runs yet. Raises `UsageError` for what is impossible."""

    async def make(self) -> None:
        """Make what has to exist before the first node starts."""

    async def remove(self) -> None:
        """Remove everything that was made, and end what nodes started and left behind."""

    def store_logs(self) -> Mapping[str, Log]:
        """Return the log of each store, by the store's name."""

    async def largest_file(self, store: str) -> int:
        """Return the size of the largest file of a store, in bytes: where its full disk ends."""

    async def inject_poison(self, service: str, name: str, running: Sequence[str]) -> Sequence[str]:
        """Send a service messages that are of no use; return their names. `running`: services that can be asked."""

    async def dead_letters(self, running: Sequence[str]) -> Sequence[bytes]:
        """Return the bodies of the broker's dead letters."""

    async def settled(self) -> None:
        """Return once all that was asked of nodes has been done."""

    async def heal(self) -> None:
        """Undo everything that faults can have done to nodes as such."""

    def watches(self) -> Iterable[tuple[Callable[[], Coroutine[Any, Any, None]], str]]:
        """Return endless jobs that belong to a deployment for faults, each with its name."""


class MakePlatform(Protocol):
    """A class of platforms. `volatile`: the data of its stores goes with it."""

    def __call__(self, spec: Spec, folder: StateFolder, say: Callable[[str], None], *, volatile: bool) -> Platform: ...
