"""The layout of `docker-compose.yml`: the networks, the nodes on each, and their addresses."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network

from harness.runtimes.base import LinkId
from harness.runtimes.deployment.plan import BROKER, ELECTOR
from protocols.shop.services import SERVICES

SERVICE_PORT, STORE_PORT = 5000, 6379
GATEWAY = "gateway"
TALKS: Mapping[str, tuple[str, str]] = {
    "order-stock": ("order", "stock"),
    "order-payment": ("order", "payment"),
    **{f"{service}-data": (service, f"{service}-store") for service in SERVICES},
    **{f"{service}-{BROKER}": (service, BROKER) for service in SERVICES},
}
"""The networks between two parts of a shop. Services other than order share none; a shop may have no broker."""
DOORS: Mapping[str, tuple[str, str]] = {f"{service}-door": (service, GATEWAY) for service in SERVICES}
NETWORKS = {**DOORS, **TALKS, "links-door": ("links",)}
ELECTOR_DOOR = f"{ELECTOR}-door"
COPIED: Mapping[str, tuple[str, ...]] = {
    **{f"{service}-copies": (f"{service}-store", ELECTOR) for service in SERVICES},
    ELECTOR_DOOR: (ELECTOR,),
}
"""Further networks, of the second file alone: the copies of a store and the elector meet there, without services and proxies."""
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
    """A link through the proxy: `source` connects to `at`, the proxy's address, in place of `to` at `host` and `port`."""

    source: str
    to: str
    network: str
    at: tuple[str, int]
    host: str
    port: int

    @property
    def link_id(self) -> LinkId:
        """Return the link's name."""
        return self.source, self.to


def subnets(pool: IPv4Network, draw: Callable[[int], int] = lambda _: 0, *, copies: int = 1) -> dict[str, IPv4Network]:
    """Return a subnet for each network, all of one pool: the engine has few pools, and would spend one on each network.

    `draw(n)` returns a number below `n`, for the first subnet: two deployments that start at once find the same pool free.
    """
    names = (*NETWORKS, *(COPIED if copies > 1 else ()))
    small = list(pool.subnets(new_prefix=24))
    first = draw(max(1, len(small) - len(names) + 1))
    return dict(zip(names, small[first:], strict=False))


def instances(part: str, workers: int, copies: int = 1, gateways: int = 1) -> list[str]:
    """Return the instances of a service, the copies of a store, the gateways, or the one node of that name."""
    if part == GATEWAY and gateways > 1:
        return [f"{part}-{number}" for number in range(1, gateways + 1)]
    if part in SERVICES:
        return [f"{part}-{number}" for number in range(1, workers + 1)]
    if is_store(part) and copies > 1:
        return [f"{part}-{number}" for number in range(1, copies + 1)]
    return [part]


def attachments(
    nets: Mapping[str, IPv4Network],
    workers: int,
    *,
    broker: bool = False,
    store_of: Callable[[str], str] = str,
    copies: int = 1,
    gateways: int = 1,
) -> list[Attachment]:
    """Return every node of the shop on each of its networks. `store_of(service)`: the service whose store has its data."""
    stores = {service: f"{store_of(service)}-store" for service in SERVICES}
    sides: dict[str, tuple[str, ...]] = {**DOORS, **TALKS}
    sides |= {f"{service}-data": (service, store) for service, store in stores.items()}
    if copies > 1:
        sides |= {**COPIED, **{f"{service}-copies": (store, ELECTOR) for service, store in stores.items()}}
    attachments = (
        attachment
        for network in sides
        for attachment in _on(
            network, nets[network], {side: instances(side, workers, copies, gateways) for side in sides[network]}
        )
    )
    return [attachment for attachment in attachments if broker or attachment.node != BROKER]


def helper_attachments(nets: Mapping[str, IPv4Network]) -> list[Attachment]:
    """Return the proxy of the links on each of its networks: those between two parts, and one of its own."""
    networks = ("links-door", *TALKS)
    return [Attachment("links", network, str(nets[network][LINKS_HOST]), ("links",)) for network in networks]


def links(
    nodes: Iterable[Attachment], nets: Mapping[str, IPv4Network], broker_ports: Mapping[str, int] | None = None
) -> list[PlannedLink]:
    """Return a link for each direction in which connections are opened: services to each other, to their stores, to the broker.

    `nodes`: every node on each of its networks. `broker_ports`: the broker's port for each service process.
    """
    planned: list[PlannedLink] = []
    by_network: dict[str, list[Attachment]] = {}
    for attachment in nodes:
        if attachment.network not in TALKS:
            continue
        by_network.setdefault(attachment.network, []).append(attachment)
    for network, attached in by_network.items():
        near = str(nets[network][LINKS_HOST])
        for source in attached:
            for to in attached:
                if not _opens(source.node, to.node):
                    continue
                port = _port(source.node, to.node, broker_ports or {})
                at = (near, FIRST_LINK_PORT + len(planned))
                planned.append(PlannedLink(source.node, to.node, network, at, to.address, port))
    return planned


def _on(network: str, net: IPv4Network, sides: Mapping[str, list[str]]) -> Iterator[Attachment]:
    nodes = [(side, node) for side, names in sides.items() for node in names]
    for number, (side, node) in enumerate(nodes):
        yield Attachment(node, network, str(net[FIRST_HOST + number]), tuple(dict.fromkeys((side, node))))


def _opens(source: str, to: str) -> bool:
    return not serves_only(source) and (serves_only(to) or service_of(source) != service_of(to))


def _port(source: str, to: str, broker_ports: Mapping[str, int]) -> int:
    if to == BROKER:
        return broker_ports[source]
    return STORE_PORT if serves_only(to) else SERVICE_PORT


def serves_only(node: str) -> bool:
    """Return whether a node opens no connections itself, apart from copies to each other."""
    return node == BROKER or is_store(node)


def is_store(node: str) -> bool:
    """Return whether a node is a store, or a copy of one."""
    return "-store" in node


def service_of(node: str) -> str:
    """Return the service of a node: `stock` for `stock-1`."""
    return node.rpartition("-")[0]
