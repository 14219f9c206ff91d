"""The plan of a deployment: every node with its command, environment, address and log, before any of it runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.runtimes.base import Kind
from harness.runtimes.deployment.probe import Probe

BROKER = "broker"
"""The name of the broker's node; of several, each has a number behind it."""

BROKER_USER = "wdm"

ELECTOR = "elector"
"""The name of the elector's node."""


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node before it runs. `command` is empty for a server that was there before the deployment.

    `once` holds variables of its first life only. `prepare` writes its files before each life. `descriptors` are of files of the
    supervisor that it inherits.
    """

    name: str
    kind: Kind
    service: str
    url: str
    port: int
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    serves: Probe
    once: Mapping[str, str] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None
    descriptors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DeploymentPlan:
    """A whole deployment before it runs. `store_urls`, by service, carry passwords.

    With several copies of a store, its entry has the URL of each, separated by spaces, and there is an elector.

    All gateways listen on the port of `gateway`, the first of them, or in containers each on one of its own.

    `data`: the folder of each store that the deployment starts. `brokers`: the nodes of the broker, none if the transport needs
    none; `broker_urls`: the broker's address for each service process, or the addresses of its nodes, separated by spaces.
    """

    tag: str
    secret: str
    store_urls: Mapping[str, str]
    data: Mapping[str, Path]
    broker_urls: Mapping[str, str]
    stores: tuple[NodeSpec, ...]
    brokers: tuple[NodeSpec, ...]
    services: tuple[NodeSpec, ...]
    gateway: NodeSpec
    electors: tuple[NodeSpec, ...] = ()
    other_gateways: tuple[NodeSpec, ...] = ()

    @property
    def nodes(self) -> tuple[NodeSpec, ...]:
        """Return all nodes, each after those that it depends on."""
        return (*self.stores, *self.electors, *self.brokers, *self.services, *self.gateways)

    @property
    def gateways(self) -> tuple[NodeSpec, ...]:
        """Return all gateways."""
        return (self.gateway, *self.other_gateways)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Return the addresses of the shop, each once: clients may use any of them."""
        return tuple(dict.fromkeys(node.url for node in self.gateways))
