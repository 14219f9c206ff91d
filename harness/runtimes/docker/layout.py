"""What `docker-compose.yml` says, as far as the runtime has to know it: who is on which network, and at which address."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from harness.runtimes.base import LinkId
from harness.runtimes.deployment.plan import BROKER
from harness.runtimes.deployment.spec import SERVICES

SERVICE_PORT, STORE_PORT = 5000, 6379
TALKS: Mapping[str, tuple[str, str]] = {
    "order-stock": ("order", "stock"),
    "order-payment": ("order", "payment"),
    **{f"{service}-data": (service, f"{service}-store") for service in SERVICES},
    **{f"{service}-{BROKER}": (service, BROKER) for service in SERVICES},
}
"""The networks of two that talk. Services other than order say nothing to each other; there may be no broker."""
DOORS: Mapping[str, tuple[str, str]] = {f"{service}-door": (service, "gateway") for service in SERVICES}
NETWORKS = {**DOORS, **TALKS, "links-door": ("links",)}
LINKS_HOST = 2
FIRST_HOST = 10
FIRST_LINK_PORT = 20_000


@dataclass(frozen=True, slots=True)
class Attachment:
    """A node on a network, at an address of its own."""

    node: str
    network: str
    address: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedLink:
    """`source` goes to `at` on the network instead of to `to` itself, which listens at `host` and `port`."""

    source: str
    to: str
    network: str
    at: tuple[str, int]
    host: str
    port: int

    @property
    def wire(self) -> LinkId:
        return self.source, self.to


def subnets(pool: IPv4Network, draw: Callable[[int], int] = lambda _: 0) -> dict[str, IPv4Network]:
    """A small network each, out of one pool: the engine has few pools, and would spend one on each network.

    `draw` a number below another: two deployments that come up at once are told the same pool, and shall not meet in it.
    """
    small = list(pool.subnets(new_prefix=24))
    first = draw(max(1, len(small) - len(NETWORKS) + 1))
    return dict(zip(NETWORKS, small[first:], strict=False))


def instances(service: str, workers: int) -> list[str]:
    """The nodes of a service, or the one store of that name."""
    return [f"{service}-{number}" for number in range(1, workers + 1)] if service in SERVICES else [service]


def places(
    nets: Mapping[str, IPv4Network], workers: int, *, broker: bool = False, store_of: Callable[[str], str] = str
) -> list[Attachment]:
    """Where every node of the shop is. `store_of`: the service whose store keeps the data of a service."""
    stores = {f"{service}-data": (service, f"{store_of(service)}-store") for service in SERVICES}
    sides = {**DOORS, **TALKS, **stores}
    there = (place for network in sides for place in _on(network, sides[network], nets[network], workers))
    return [place for place in there if broker or place.node != BROKER]


def helper_places(nets: Mapping[str, IPv4Network]) -> list[Attachment]:
    """Where the proxy of the links is: wherever two talk, and at a door of its own."""
    where = ("links-door", *TALKS)
    return [Attachment("links", network, str(nets[network][LINKS_HOST]), ("links",)) for network in where]


def links(
    there: Iterable[Attachment], nets: Mapping[str, IPv4Network], broker_ports: Mapping[str, int] | None = None
) -> list[PlannedLink]:
    """A link for each direction in which connections are opened: services to each other, to their stores, to the broker.

    `broker_ports`: the port at which the broker expects each service process.
    """
    found: list[PlannedLink] = []
    by_network: dict[str, list[Attachment]] = {}
    for place in there:
        if place.network not in TALKS:
            continue
        by_network.setdefault(place.network, []).append(place)
    for network, members in by_network.items():
        near = str(nets[network][LINKS_HOST])
        for source in members:
            for to in members:
                if not _opens(source.node, to.node):
                    continue
                port = _port(source.node, to.node, broker_ports or {})
                at = (near, FIRST_LINK_PORT + len(found))
                found.append(PlannedLink(source.node, to.node, network, at, to.address, port))
    return found


def _on(network: str, sides: tuple[str, str], net: IPv4Network, workers: int) -> Iterator[Attachment]:
    nodes = [(side, node) for side in sides for node in instances(side, workers)]
    for number, (side, node) in enumerate(nodes):
        yield Attachment(node, network, str(net[FIRST_HOST + number]), tuple(dict.fromkeys((side, node))))


def _opens(source: str, to: str) -> bool:
    return not serves_only(source) and (serves_only(to) or service_of(source) != service_of(to))


def _port(source: str, to: str, broker_ports: Mapping[str, int]) -> int:
    if to == BROKER:
        return broker_ports[source]
    return STORE_PORT if serves_only(to) else SERVICE_PORT


def serves_only(node: str) -> bool:
    """Whether it opens no connections itself."""
    return node == BROKER or node.endswith("-store")


def service_of(node: str) -> str:
    """`stock` of `stock-1`."""
    return node.rpartition("-")[0]
