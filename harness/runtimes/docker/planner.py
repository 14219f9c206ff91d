"""The plan of a deployment of containers: addresses, variables for Compose, and the environment of each node."""

import json
from collections.abc import Awaitable, Callable, Mapping
from ipaddress import IPv4Network
from pathlib import Path
from secrets import token_hex

from harness.runtimes.base import Kind
from harness.runtimes.deployment.plan import BROKER, DeploymentPlan, NodeSpec
from harness.runtimes.deployment.probe import Probe
from harness.runtimes.deployment.spec import SERVICES, Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.docker import layout
from harness.runtimes.docker.brokers import BROKERS, BrokerService
from harness.runtimes.docker.compose import LINKS, OVERRIDE
from harness.runtimes.docker.container import TOLD_IN
from protocols.registry import load
from protocols.service.links import transport

NEVER = "9999h"
"""No health check by the engine: its look into a container that meets a pause is fatal, see `Container.exec`."""


class Planner:
    """Everything that is decided before a container exists. `nets` are the subnets by our names."""

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
            self.links = layout.links(self.places(), self.nets, self._broker_ports())

    @property
    def shares_a_store(self) -> bool:
        return len(self._owners) < len(SERVICES)

    def plan(self, port: int, serves: Callable[[str], Awaitable[bool]]) -> DeploymentPlan:
        """Plan every node. `port` is the gateway's on loopback, `serves` asks a container by its name."""

        def node(name: str, kind: Kind, service: str, url: str = "") -> NodeSpec:
            async def probe() -> bool:
                return await serves(name)

            return self.node(name, kind, service, probe, url)

        return DeploymentPlan(
            self._tag,
            self._secret,
            store_urls={},
            data={},
            broker_urls=self._broker_urls(),
            stores=tuple(node(f"{owner}-store", "store", owner) for owner in self._owners),
            brokers=(node(BROKER, "broker", ""),) if self._kind else (),
            services=tuple(
                node(name, "service", service)
                for service in SERVICES
                for name in layout.instances(service, self._spec.workers)
            ),
            gateway=node("gateway", "gateway", "", f"http://127.0.0.1:{port}"),
        )

    def places(self) -> list[layout.Attachment]:
        store_of, broker = self._store_of, self._kind is not None
        return layout.places(self.nets, self._spec.workers, broker=broker, store_of=store_of)

    # ------------------------------------------------------------ the broker, if there is one

    @property
    def _kind(self) -> BrokerService | None:
        return BROKERS.get(transport(self._spec.transport).broker)

    def _broker_ports(self) -> dict[str, int]:
        """Where it expects each service process."""
        clients = [name for service in SERVICES for name in layout.instances(service, self._spec.workers)]
        return self._kind.ports(clients) if self._kind else {}

    def _broker_ways(self) -> dict[str, str]:
        """The address by which each service process reaches it, where something stands between them."""
        return {link.source: f"{link.at[0]}:{link.at[1]}" for link in self.links if link.to == BROKER}

    def _broker_urls(self) -> dict[str, str]:
        if self._kind is None:
            return {}
        ways = self._broker_ways() or dict.fromkeys(self._broker_ports(), f"{BROKER}:{self._kind.port(0)}")
        return {name: self._kind.url(at, self._password) for name, at in ways.items()}

    def variables(self, port: int) -> dict[str, str]:
        spec = self._spec
        return {
            **{name.upper().replace(".", "_"): value for name, value in self._labels.items()},
            "WDM_RESTART": "no",
            "WDM_HEALTH_EVERY": NEVER,
            **(self._kind.variables(self._broker_ways(), spec.durability) if self._kind else {}),
            "WDM_PROTOCOL": spec.protocol,
            "WDM_TRANSPORT": spec.transport,
            "WDM_SECRET": self._secret,
            "WDM_STORE_PASSWORD": self._password,
            "WDM_OPTIONS": json.dumps(spec.options),
            "WDM_ABLATE": ",".join(spec.ablate),
            "WDM_DURABILITY": spec.durability,
            "WDM_STORE_MEMORY_MB": str(spec.store_memory_mb),
            "WDM_STORE_LIMIT": f"{2 * spec.store_memory_mb}m",
            "WDM_TIME_LIMIT_MS": str(round(spec.time_limit_s * 1000)),
            "WDM_LOG_LEVEL": spec.log_level,
            "WDM_STATUSES": spec.statuses,
            "WDM_PORT": str(port),
        }

    def override(self) -> Path:
        """A second file for Compose: nodes keep their addresses, also when they are unplugged, so a network says which it has.

        Some versions of Compose put a network of the second file in the place of the first one's, so it is said whole.
        """
        nets = {
            name: {"internal": name in layout.TALKS, "labels": self._labels, "ipam": {"config": [{"subnet": str(net)}]}}
            for name, net in self.nets.items()
        }
        told_by_file = (*SERVICES, *([LINKS] if self._spec.breakable else []))
        # A container whose root cannot be written takes a file into a volume only; one without a name goes with its container.
        services = {name: {"volumes": [f"/{TOLD_IN}"]} for name in told_by_file}
        document = {"services": services, "networks": nets}
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
            environment=self._own_environment(name) if service and kind == "service" else {},
            once={"WDM_FAULTS": json.dumps({"crash_at": {self._spec.crash_at: 1}})} if self._spec.crash_at else {},
            log=self._folder.logs / f"{name}.log",
            serves=serves,
        )

    def _own_environment(self, name: str) -> dict[str, str]:
        """What one instance is told that the others of its service are not."""
        own = {"WDM_NODE": name, "WDM_ADVERTISE": _advertised(name), "WDM_TRACE": str(self._spec.trace)}
        own["WDM_BROKER_URL"] = self._broker_urls().get(name, "")
        peers = {one: [_advertised(at) for at in layout.instances(one, self._spec.workers)] for one in SERVICES}
        if not self._spec.breakable:
            return {**own, "WDM_PEERS": json.dumps(peers)}
        routes: dict[str, str] = {}
        store = ""
        for link in self.links:
            if link.source != name or link.to == BROKER:
                continue
            if link.to.endswith("-store"):
                store = f"redis://:{self._password}@{link.at[0]}:{link.at[1]}/0"
            else:
                routes[_advertised(link.to)] = f"http://{link.at[0]}:{link.at[1]}"
        peers = {one: [routes.get(address, address) for address in addresses] for one, addresses in peers.items()}
        return {
            **own,
            "WDM_STORE_URL": store,
            "WDM_PEERS": json.dumps(peers),
            "WDM_ROUTES": json.dumps(routes),
        }


def _advertised(name: str) -> str:
    """A service's own address, as its messages name it. Everybody who hears it has a route for it."""
    return f"http://{name}:{layout.SERVICE_PORT}"
