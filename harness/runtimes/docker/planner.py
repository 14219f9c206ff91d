"""The plan of a deployment of containers: addresses, variables for Compose, and the environment of each node."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path
from secrets import token_hex
from typing import Any

from harness.runtimes.base import Kind
from harness.runtimes.deployment.plan import BROKER, ELECTOR, DeploymentPlan, NodeSpec
from harness.runtimes.deployment.probe import Probe
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.docker import gateways, layout, stores
from harness.runtimes.docker.brokers import BROKERS, BrokerService
from harness.runtimes.docker.compose import LINKS, OVERRIDE
from harness.runtimes.docker.container import ENVIRONMENT_FOLDER
from protocols.registry import load
from protocols.service.links import transport
from protocols.shop.services import SERVICES

NEVER = "9999h"
"""No health check by the engine: a check that starts during a pause blocks the container for good, see `Container._submit`."""


class Planner:
    """The decisions before a container exists. `nets`: the subnets by the networks' names in the layout."""

    def __init__(
        self,
        spec: Spec,
        folder: StateFolder,
        tag: str,
        secret: str,
        labels: Mapping[str, str],
        nets: Mapping[str, IPv4Network],
    ) -> None:
        self.nets = dict(nets)
        self._spec = spec
        self._folder = folder
        self._tag = tag
        self._secret = secret
        self._labels = dict(labels)
        self._password = token_hex(16)
        self._store_of = load(spec.protocol).store_of
        self._owners = dict.fromkeys(self._store_of(service) for service in SERVICES)
        self.links: list[layout.PlannedLink] = []
        if spec.breakable:
            self.links = layout.links(self.attachments(), self.nets, self._broker_ports())

    @property
    def shares_a_store(self) -> bool:
        """Return whether several services keep their data in one store."""
        return len(self._owners) < len(SERVICES)

    def plan(self, ports: Sequence[int], serves: Callable[[str], Awaitable[bool]]) -> DeploymentPlan:
        """Plan every node. `ports` are the gateways' on loopback, `serves` probes a container by its name."""

        def node(name: str, kind: Kind, service: str, url: str = "") -> NodeSpec:
            async def probe() -> bool:
                return await serves(name)

            return self.node(name, kind, service, probe, url)

        names = layout.instances(layout.GATEWAY, 1, gateways=self._spec.gateways)
        nodes = [node(name, "gateway", "", f"http://127.0.0.1:{port}") for name, port in zip(names, ports, strict=True)]
        return DeploymentPlan(
            self._tag,
            self._secret,
            store_urls={},
            data={},
            broker_urls=self._broker_urls(),
            stores=tuple(
                node(name, "store", owner)
                for owner in self._owners
                for name in layout.instances(f"{owner}-store", self._spec.workers, self._spec.servers)
            ),
            brokers=(node(BROKER, "broker", ""),) if self._kind else (),
            services=tuple(
                node(name, "service", service)
                for service in SERVICES
                for name in layout.instances(service, self._spec.workers)
            ),
            gateway=nodes[0],
            electors=(node(ELECTOR, "elector", ""),) if self._copied else (),
            other_gateways=tuple(nodes[1:]),
        )

    def attachments(self) -> list[layout.Attachment]:
        """Return every node of this shop on each of its networks."""
        spec, broker = self._spec, self._kind is not None
        return layout.attachments(
            self.nets, spec.workers, broker=broker, store_of=self._store_of, copies=spec.servers, gateways=spec.gateways
        )

    @property
    def _copied(self) -> bool:
        return self._spec.servers > 1

    # ------------------------------------------------------------ the broker, if there is one

    @property
    def _kind(self) -> BrokerService | None:
        return BROKERS.get(transport(self._spec.transport).broker)

    def _broker_ports(self) -> dict[str, int]:
        """Return the broker's port for each service process; empty without a broker."""
        clients = [name for service in SERVICES for name in layout.instances(service, self._spec.workers)]
        return self._kind.ports(clients) if self._kind else {}

    def _broker_addresses(self) -> dict[str, str]:
        """Return the proxy's address for each service process, in place of the broker's; empty without a proxy or a broker."""
        return {link.source: f"{link.at[0]}:{link.at[1]}" for link in self.links if link.to == BROKER}

    def _broker_urls(self) -> dict[str, str]:
        if self._kind is None:
            return {}
        addresses = self._broker_addresses() or dict.fromkeys(self._broker_ports(), f"{BROKER}:{self._kind.port(0)}")
        return {name: self._kind.url(at, self._password) for name, at in addresses.items()}

    def variables(self, ports: Sequence[int]) -> dict[str, str]:
        """Return the variables of `docker-compose.yml`, those of the images apart. `ports` are in sequence: a range of them."""
        spec = self._spec
        return {
            **{name.upper().replace(".", "_"): value for name, value in self._labels.items()},
            "WDM_RESTART": "no",
            "WDM_HEALTH_EVERY": NEVER,
            **(self._kind.variables(self._broker_addresses(), spec.durability, self._password) if self._kind else {}),
            "WDM_PROTOCOL": spec.protocol,
            "WDM_TRANSPORT": spec.transport,
            "WDM_SECRET": self._secret,
            "WDM_STORE_PASSWORD": self._password,
            "WDM_OPTIONS": json.dumps(spec.options),
            "WDM_ABLATE": ",".join(spec.ablate),
            "WDM_DURABILITY": spec.durability,
            **({"WDM_ELECTOR_DOOR": layout.ELECTOR_DOOR} if self._copied else {}),
            "WDM_STORE_MEMORY_MB": str(spec.store_memory_mb),
            "WDM_STORE_LIMIT": f"{2 * spec.store_memory_mb}m",
            "WDM_TIME_LIMIT_MS": str(round(spec.time_limit_s * 1000)),
            "WDM_LOG_LEVEL": spec.log_level,
            "WDM_STATUSES": spec.statuses,
            "WDM_PORT": "-".join(map(str, dict.fromkeys((ports[0], ports[-1])))),
        }

    def override(self) -> Path:
        """Write a second file for Compose, and return it. Raises `OSError`.

        Nodes keep their addresses, also when they are detached and attached again, so each network has a fixed subnet. Some
        versions of Compose replace a network of the first file by that of the second, so its other values are repeated.
        """
        nets = {
            name: {
                "internal": not name.endswith("-door"),
                "labels": self._labels,
                "ipam": {"config": [{"subnet": str(net)}]},
            }
            for name, net in self.nets.items()
        }
        helpers = [LINKS] * self._spec.breakable + [ELECTOR] * self._copied
        # A container with a read-only root takes a file into a volume only; a volume without a name is removed with it.
        services: dict[str, Any] = {name: {"volumes": [f"/{ENVIRONMENT_FOLDER}"]} for name in (*SERVICES, *helpers)}
        document: dict[str, Any] = {"services": services, "networks": nets}
        if self._spec.gateways > 1:
            services |= gateways.services(self._spec.gateways)
        if self._copied:
            services[ELECTOR]["networks"] = list(layout.COPIED)
            services |= stores.services(self._owners, self._spec, self._password)
            document["volumes"] = stores.volumes(self._owners, self._spec.servers, self._labels)
        return self._folder.write_private(OVERRIDE, json.dumps(document, indent=2).encode())

    def node(self, name: str, kind: Kind, service: str, serves: Probe, url: str = "") -> NodeSpec:
        """Plan one container."""
        return NodeSpec(
            name=name,
            kind=kind,
            service=service,
            url=url or f"docker:{name}",
            port=0,
            command=("docker", "start", name),
            environment=self._environment(name, kind, service),
            once={"WDM_FAULTS": json.dumps({"crash_at": {self._spec.crash_at: 1}})} if self._spec.crash_at else {},
            log=self._folder.logs / f"{name}.log",
            serves=serves,
        )

    def _environment(self, name: str, kind: Kind, service: str) -> dict[str, str]:
        if kind == "elector":
            return {"WDM_COPIES": json.dumps(self._copies()), "WDM_ABLATE": ",".join(self._spec.ablate)}
        return self._own_environment(name) if kind == "service" and service else {}

    def _copies(self) -> dict[str, dict[str, str]]:
        """Return the URL of each copy by its name, by store: an address, because a copy is blocked while it asks for a name."""
        return {f"{owner}-store": self._servers_on(f"{owner}-copies") for owner in self._owners}

    def _servers_on(self, network: str) -> dict[str, str]:
        return {
            attachment.node: self._store_url(attachment.address, layout.STORE_PORT)
            for attachment in self.attachments()
            if attachment.network == network and layout.is_store(attachment.node)
        }

    def _store_url(self, host: str, port: int) -> str:
        return f"redis://:{self._password}@{host}:{port}/0"

    def _own_environment(self, name: str) -> dict[str, str]:
        """Return the variables of one instance that differ from those of the others of its service."""
        own = {"WDM_NODE": name, "WDM_ADVERTISE": _advertised(name), "WDM_TRACE": str(self._spec.trace)}
        own["WDM_BROKER_URL"] = self._broker_urls().get(name, "")
        workers = self._spec.workers
        peers = {peer: [_advertised(at) for at in layout.instances(peer, workers)] for peer in SERVICES}
        if not self._spec.breakable:
            servers = self._servers_on(f"{layout.service_of(name)}-data")
            return {**own, "WDM_STORE_URL": " ".join(servers.values()), "WDM_PEERS": json.dumps(peers)}
        routes: dict[str, str] = {}
        store_urls: list[str] = []
        for link in self.links:
            if link.source != name or link.to == BROKER:
                continue
            if layout.is_store(link.to):
                store_urls.append(self._store_url(*link.at))
            else:
                routes[_advertised(link.to)] = f"http://{link.at[0]}:{link.at[1]}"
        peers = {peer: [routes.get(address, address) for address in addresses] for peer, addresses in peers.items()}
        return {
            **own,
            "WDM_STORE_URL": " ".join(store_urls),
            "WDM_PEERS": json.dumps(peers),
            "WDM_ROUTES": json.dumps(routes),
        }


def _advertised(name: str) -> str:
    """Return a service's own address, as its messages name it. Every receiver of these has a route for it."""
    return f"http://{name}:{layout.SERVICE_PORT}"
