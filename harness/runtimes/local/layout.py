"""The plan of a deployment of processes: command, environment, port and log of each node."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from secrets import token_hex

from harness.runtimes.deployment import probe, valkey
from harness.runtimes.deployment.plan import BROKER, DeploymentPlan, NodeSpec
from harness.runtimes.deployment.process import TAG
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.local import bytecode
from harness.runtimes.local.brokers import BROKERS
from harness.runtimes.local.brokers.base import Broker, BrokerSetting
from harness.runtimes.local.managed import HOST
from harness.runtimes.local.stores import PlannedStore, StorePlanner, data_folder
from protocols.registry import load
from protocols.service.links import transport
from protocols.shop.services import SERVICES

Via = Callable[[str, str, int], int]
"""A function from two nodes' names and the second one's port to the port by which the first one reaches it."""


def direct(_source: str, _to: str, port: int) -> int:
    """Return the node's own port: no proxy stands between."""
    return port


Listen = Callable[[int], tuple[int, ...]]
"""A function that listens on a port and returns the descriptors of the sockets, for processes to inherit."""


def nowhere(_port: int) -> tuple[int, ...]:
    """Return no descriptor: the plan is not to be started with several gateways."""
    return ()


GATEWAY_PATIENCE_S = 2.0  # on top of the services' own limit, so that they answer first


def plan_deployment(
    spec: Spec, folder: StateFolder, port: Callable[[], int], via: Via, listen: Listen = nowhere
) -> DeploymentPlan:
    """Plan a checked spec. `port` returns free ports, `via` may put a proxy between services and the nodes that they call.

    `listen` opens the port that several gateways share.

    Raises `EnvironmentFailure` for an unusable store.
    """
    tag, secret = token_hex(8), token_hex(16)
    protocol = load(spec.protocol)
    owners = {service: protocol.store_of(service) for service in SERVICES}
    binary = valkey.find_binary(spec.store_binary) if set(owners.values()) - set(spec.store_urls) else None
    if binary is not None:
        valkey.version(binary)
    shared = _inherited() | {TAG: tag, "WDM_LOG_LEVEL": spec.log_level}
    planner = StorePlanner(spec, folder, shared, binary, port, secret)
    stores = {owner: planner.store(owner) for owner in dict.fromkeys(owners.values())}
    stores_of = {service: stores[owner] for service, owner in owners.items()}
    ports = {service: [port() for _ in range(spec.workers)] for service in SERVICES}
    brokers, broker_urls = _brokers(spec, folder, port, via, shared)
    common = shared | _common_environment(spec, secret)
    services = tuple(
        _service(
            service,
            index,
            number,
            spec,
            folder,
            common
            | _own_environment(service, index, ports, stores_of[service], via)
            | {
                "WDM_STORE_MANAGED": planner.managed(stores_of[service]),
                "WDM_BROKER_URL": broker_urls.get(f"{service}-{index}", ""),
            },
        )
        for service, numbers in ports.items()
        for index, number in enumerate(numbers, start=1)
    )
    store_specs = tuple(server for store in stores.values() for server in store.servers)
    data = {server.name: data_folder(spec, folder, server.name) for server in store_specs if server.command}
    urls = {service: store.address() for service, store in stores_of.items()}
    peers = {service: [_url(number) for number in numbers] for service, numbers in ports.items()}
    gateway, *other_gateways = _gateways(spec, folder, port, shared, peers, listen)
    electors = planner.electors(stores.values())
    return DeploymentPlan(
        tag, secret, urls, data, broker_urls, store_specs, brokers, services, gateway, electors, tuple(other_gateways)
    )


def _url(port: int) -> str:
    return f"http://{HOST}:{port}"


def _inherited() -> dict[str, str]:
    """Return this process's environment without the variables that would override the spec."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WDM_")}
    return {**inherited, **bytecode.variables()}


def _brokers(
    spec: Spec, folder: StateFolder, port: Callable[[], int], via: Via, shared: Mapping[str, str]
) -> tuple[tuple[NodeSpec, ...], Mapping[str, str]]:
    kind = transport(spec.transport).broker
    if not kind:
        return (), {}
    names = [BROKER] if spec.brokers == 1 else [f"{BROKER}-{number}" for number in range(1, spec.brokers + 1)]
    clients = tuple(f"{service}-{index}" for service in SERVICES for index in range(1, spec.workers + 1))
    settings = [
        BrokerSetting(
            name=name,
            data=data_folder(spec, folder, f"{name}-{kind}"),
            durability=spec.durability,
            clients=clients,
            port=port,
            via=partial(_reached, via, name),
            private=partial(_private, folder, name),
        )
        for name in names
    ]
    brokers = BROKERS[kind].plan_brokers(settings)
    nodes = [_broker(*planned, folder, shared) for planned in zip(settings, brokers, strict=True)]
    return tuple(nodes), {client: " ".join(broker.urls[client] for broker in brokers) for client in clients}


def _reached(via: Via, node: str, client: str, port: int) -> int:
    return via(client, node, port)


def _private(folder: StateFolder, node: str, name: str, text: str) -> Path:
    return folder.write_private(f"conf/{name}" if node == BROKER else f"conf/{node}/{name}", text.encode())


def _broker(setting: BrokerSetting, broker: Broker, folder: StateFolder, shared: Mapping[str, str]) -> NodeSpec:
    return NodeSpec(
        name=setting.name,
        kind="broker",
        service="",
        url=broker.shown,
        port=broker.port,
        command=broker.command,
        environment={**shared, **broker.environment},
        log=folder.logs / f"{setting.name}.log",
        serves=broker.serves,
        prepare=lambda: setting.data.mkdir(mode=0o700, parents=True, exist_ok=True),
    )


def _service(
    service: str, index: int, port: int, spec: Spec, folder: StateFolder, environment: Mapping[str, str]
) -> NodeSpec:
    name = f"{service}-{index}"
    own = {"WDM_NODE": name, "WDM_LISTEN": f"{HOST}:{port}", "WDM_ADVERTISE": f"http://{HOST}:{port}"}
    return NodeSpec(
        name=name,
        kind="service",
        service=service,
        url=f"http://{HOST}:{port}",
        port=port,
        command=(sys.executable, "-P", "-m", "protocols.service"),
        environment={**environment, **own},
        once={"WDM_FAULTS": json.dumps({"crash_at": {spec.crash_at: 1}})} if spec.crash_at else {},
        log=folder.logs / f"{name}.log",
        serves=probe.http(port),
    )


def _own_environment(
    service: str,
    index: int,
    ports: Mapping[str, list[int]],
    store: PlannedStore,
    via: Via,
) -> dict[str, str]:
    """Return the variables of a service process about itself and the others."""
    name = f"{service}-{index}"
    peers: dict[str, list[str]] = {}
    routes: dict[str, str] = {}
    for other, numbers in ports.items():
        for at, number in enumerate(numbers, start=1):
            reached_at = number if other == service else via(name, f"{other}-{at}", number)
            peers.setdefault(other, []).append(_url(reached_at))
            if reached_at != number:
                # Messages name a process by its own port: without a route, answers to it would bypass the proxy.
                routes[_url(number)] = _url(reached_at)
    return {
        "WDM_SERVICE": service,
        "WDM_STORE_URL": store.address(lambda server, number: via(name, server, number)),
        "WDM_PEERS": json.dumps(peers),
        "WDM_ROUTES": json.dumps(routes),
    }


def _common_environment(spec: Spec, secret: str) -> dict[str, str]:
    return {
        "WDM_PROTOCOL": spec.protocol,
        "WDM_TRANSPORT": spec.transport,
        "WDM_SECRET": secret,
        "WDM_DURABILITY": spec.durability,
        "WDM_STORE_MEMORY_MB": str(spec.store_memory_mb),
        "WDM_OPTIONS": json.dumps(spec.options),
        "WDM_ABLATE": ",".join(spec.ablate),
        "WDM_TIME_LIMIT_MS": str(round(spec.time_limit_s * 1000)),
        "WDM_TRACE": str(spec.trace),
        "WDM_STATUSES": spec.statuses,
    }


def _gateways(
    spec: Spec,
    folder: StateFolder,
    port: Callable[[], int],
    shared: Mapping[str, str],
    peers: Mapping[str, list[str]],
    listen: Listen,
) -> Iterator[NodeSpec]:
    """Yield the gateways. Several share the sockets of one port, and each has a port of its own for its probe."""
    common = spec.port or port()
    sockets = listen(common) if spec.gateways > 1 else ()
    for number in range(1, spec.gateways + 1):
        name, own = ("gateway", common) if spec.gateways == 1 else (f"gateway-{number}", port())
        yield NodeSpec(
            name=name,
            kind="gateway",
            service="",
            url=f"http://{HOST}:{common}",
            port=own,
            command=(sys.executable, "-P", "-m", "harness.runtimes.local.gateway"),
            environment={
                **shared,
                "WDM_LISTEN": f"{HOST}:{own}",
                "WDM_SHARED_SOCKETS": " ".join(map(str, sockets)),
                "WDM_PEERS": json.dumps(peers),
                "WDM_TIME_LIMIT_MS": str(round((spec.time_limit_s + GATEWAY_PATIENCE_S) * 1000)),
                "WDM_STATUSES": spec.statuses,
            },
            log=folder.logs / f"{name}.log",
            serves=probe.http(own),
            descriptors=sockets,
        )
