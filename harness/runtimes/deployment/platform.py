"""The port between a deployment and its platform: processes of this machine, or containers."""

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
    def link_ids(self) -> tuple[LinkId, ...]:
        """Return every link that has a proxy, in a fixed order."""

    async def start(self) -> None:
        """Start the proxies. Raises `EnvironmentFailure` or `OSError`."""

    async def stop(self) -> None:
        """Stop the proxies and close their connections."""

    def apply_rule(self, by: Hashable, link_ids: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        """Put a rule on links, owned by `by`."""

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        """Remove every rule of the owner `by`; with `reset`, reset the connections that it stalled."""

    def remove_all_rules(self) -> None:
        """Remove every rule."""

    async def settled(self) -> None:
        """Return once every rule has taken effect. Raises `EnvironmentFailure` naming a rule that cannot."""


class Platform(Protocol):
    """A strategy of a deployment. Every method may raise `EnvironmentFailure`."""

    network: LinkNetwork

    @property
    def begin(self) -> Begin:
        """Return the function that begins one life of a node."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Return the capabilities that every deployment on this platform has."""

    def plan(self, ports: Ports) -> DeploymentPlan:
        """Plan every node; nothing runs yet. Raises `UsageError` for a spec that this platform cannot run."""

    async def make(self) -> None:
        """Make the containers, networks and files that the first node needs."""

    async def remove(self) -> None:
        """Remove everything that `make` made, and end the processes that nodes started and left behind."""

    def store_logs(self) -> Mapping[str, Log]:
        """Return the log of each store, by the store's name."""

    async def largest_file(self, store: str) -> int:
        """Return the size of the largest file of a store, in bytes: the limit that stands for its full disk."""

    async def inject_poison(self, service: str, name: str, running: Sequence[str]) -> Sequence[str]:
        """Send a service messages that it cannot handle; return their names. `running`: names of service processes that run."""

    async def dead_letters(self, running: Sequence[str]) -> Sequence[bytes]:
        """Return the bodies of the broker's dead letters."""

    async def settled(self) -> None:
        """Return once every order to a node has been carried out."""

    async def heal(self) -> None:
        """Undo the faults of nodes that the node supervisors do not undo."""

    def watches(self) -> Iterable[tuple[Callable[[], Coroutine[Any, Any, None]], str]]:
        """Return endless jobs that belong to a deployment for faults, each with its name."""


class MakePlatform(Protocol):
    """A class of platforms. `volatile`: the data of its stores goes with it."""

    def __call__(self, spec: Spec, folder: StateFolder, say: Callable[[str], None], *, volatile: bool) -> Platform:
        """Return a platform for this spec. `say` receives one line about each step."""
