"""The servers of one simulated store: a single one, or copies of which an elector chooses the primary."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from harness.runtimes.base import SECOND_ELECTOR, LinkId
from harness.runtimes.deployment.plan import ELECTOR
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.sim.copied_store import SimCopiedStore
from harness.runtimes.sim.copy_server import CopyServer
from harness.runtimes.sim.network import SimulatedNetwork
from harness.runtimes.sim.server import Server
from harness.runtimes.sim.store import SimStore
from protocols.core import Command, Config, Protocol
from protocols.ports import Clock
from protocols.shop.services import SERVICES
from protocols.store.epochs import progress
from protocols.store.lives import has_generations

FIRST_NUMBER = 1_000
"""The first machine number of copies, behind those of all other machines."""


@dataclass(frozen=True, eq=False)
class ServerSet:
    """The servers of the store `name`, with the data of `service`. `copies` is empty for a single server."""

    name: str
    service: str
    servers: tuple[Server, ...]
    copies: tuple[CopyServer, ...]
    config: Config

    @property
    def primary(self) -> Server | None:
        """Return the server that has the data: of several the primary of the largest epoch, None if none runs."""
        if not self.copies:
            return self.servers[0]
        primaries = [
            copy for copy in self.copies if copy.primary and copy.state == "running" and progress(copy.tables)[0]
        ]
        return max(primaries, key=lambda copy: progress(copy.tables), default=None)

    def connect(
        self,
        network: SimulatedNetwork,
        name: str,
        enter: Callable[[Callable[[], None]], None],
        clock: Clock,
        limit_ms: int,
        rng: Random,
    ) -> SimStore:
        """Connect one life of the process `name`."""
        world = network.world
        if self.copies:
            return SimCopiedStore(world, network, name, self.copies, enter, clock, limit_ms, rng, self.config)
        server = self.servers[0]
        link = (name, server.name)
        generations = has_generations(self.config)
        return SimStore(world, network, link, server, enter, clock, limit_ms, rng, generations=generations)

    def links(self) -> Sequence[LinkId]:
        """Return the links between the copies, and from the electors to each."""
        names = [copy.name for copy in self.copies]
        return [
            *((name, other) for name in names for other in names if name != other),
            *((elector, name) for elector in (ELECTOR, SECOND_ELECTOR) for name in names),
        ]


def simulated_stores(
    spec: Spec,
    protocol: Protocol,
    config: Config,
    network: SimulatedNetwork,
    on_failure: Callable[[Command, str], None],
) -> dict[str, ServerSet]:
    """Return the store of each service; services may share one."""
    owners = {service: protocol.store_of(service) for service in SERVICES}
    sets: dict[str, ServerSet] = {}
    for number, owner in enumerate(dict.fromkeys(owners.values()), start=1):
        common = (spec.respawn_after_s, protocol, config, spec.durability, on_failure)
        copies = tuple(
            CopyServer(network, owner, f"{owner}-store-{at}", number + FIRST_NUMBER * at, *common)
            for at in range(1, spec.servers + 1)
            if spec.servers > 1
        )
        for copy in copies:
            copy.copies = {other.name: other for other in copies}
        sets[owner] = ServerSet(
            f"{owner}-store", owner, copies or (Server(network.world, owner, number, *common),), copies, config
        )
    return {service: sets[owner] for service, owner in owners.items()}
