"""The platform of the docker runtime: every node is a container, made by Compose and run through the engine."""

import asyncio
import json
import resource
from base64 import b64decode
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from ipaddress import IPv4Network
from secrets import randbelow, token_hex
from typing import Any

from harness.errors import EnvironmentFailure
from harness.runtimes import base
from harness.runtimes.deployment.plan import ELECTOR, DeploymentPlan, NodeSpec
from harness.runtimes.deployment.platform import LinkNetwork
from harness.runtimes.deployment.ports import Ports, is_free, why_taken
from harness.runtimes.deployment.process_handle import ProcessHandle
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.deployment.store_log import Log
from harness.runtimes.deployment.supervisor import START_WITHIN_S
from harness.runtimes.docker import layout, owner, project, resources
from harness.runtimes.docker.compose import LINKS, Project
from harness.runtimes.docker.container import Container
from harness.runtimes.docker.engine_client import connect, engine_errors, filters, labels
from harness.runtimes.docker.gateways import drain_signal, is_gateway
from harness.runtimes.docker.images import choose
from harness.runtimes.docker.images import variables as variables_of
from harness.runtimes.docker.links import VARIABLE
from harness.runtimes.docker.network_controller import NetworkController
from harness.runtimes.docker.planner import Planner
from harness.runtimes.docker.tail import ContainerLog
from harness.runtimes.docker.usage_sampler import UsageSampler
from harness.runtimes.network.proxy import Proxy
from protocols.service.links import transport
from protocols.shop.services import SERVICES

GATEWAY_PORT = 8000
LARGEST = "stat -c %s /data/appendonlydir/*.aof | sort -n | tail -n 1"
BROKER_COMMAND = ("python3", "-P", "-m", "protocols.service.dead_letters")
LIMITED: frozenset[base.Capability] = frozenset({"disk"}) if hasattr(resource, "prlimit") else frozenset()  # Linux
NEVER = "9999h"
"""No health check by the engine: a check that starts during a pause blocks the container for good, see `Container._submit`."""


class ContainerPlatform:
    """A `Platform` of containers. `volatile`: the data of the stores is removed with them."""

    capabilities: frozenset[base.Capability] = LIMITED

    def __init__(self, spec: Spec, folder: StateFolder, say: Callable[[str], None], *, volatile: bool) -> None:
        self.spec = spec
        self.folder = folder
        self.network: LinkNetwork = Proxy()
        self._say = say
        self._plan: DeploymentPlan | None = None
        self._sampler: UsageSampler | None = None
        self.containers: dict[str, Container] = {}
        self._volatile = volatile
        self._client: Any = None
        self._project: Project | None = None
        self._helper: Container | None = None
        self._planner: Planner | None = None

    # ------------------------------------------------------------ planning

    def plan(self, ports: Ports) -> DeploymentPlan:
        self._client = client = connect()
        resources.record_use()
        images = choose(client, transport(self.spec.transport).broker)
        tag, secret = resources.project(self.folder.path, self.spec.protocol), token_hex(16)
        own = {**labels(tag, volatile=self._volatile), **owner.labels(self.folder.path)}
        nets = layout.subnets(self._free_pool(tag, own), randbelow, copies=self.spec.servers)
        self._planner = planner = Planner(self.spec, self.folder, tag, secret, own, nets)
        if self.spec.breakable:
            self.network = NetworkController(planner.attachments(), planner.links, secret)
        gateway_ports = self._gateway_ports(ports)
        variables = {**variables_of(images), **planner.variables(gateway_ports)}
        together = (project.together(),) if planner.shares_a_store else ()
        self._project = Project(tag, variables, *together, planner.override())
        self._plan = planner.plan(gateway_ports, lambda name: self.containers[name].serves())
        return self._plan

    def _gateway_ports(self, ports: Ports) -> list[int]:
        """Return a port for each gateway, in sequence. Raises `EnvironmentFailure` for one behind `--port` that is taken."""
        count, first = self.spec.gateways, self.spec.port
        if not first:
            return ports.take_several(count)
        chosen = list(range(first, first + count))
        for port in chosen[1:]:
            if not is_free(port):
                raise EnvironmentFailure(
                    f"{count} gateways need the ports {first} to {chosen[-1]}, and {port} is {why_taken(port)}; "
                    "choose others with --port, or --port 0 for any free ones"
                )
        return chosen

    def _free_pool(self, tag: str, own: Mapping[str, str]) -> IPv4Network:
        """Return the addresses that the engine gives to a new network, which it chooses among those that are free."""
        with engine_errors("the engine makes no network"):
            probe = self._client.networks.create(f"{tag}-probe", internal=True, labels={**own}, check_duplicate=True)
            try:
                probe.reload()
                return IPv4Network(probe.attrs["IPAM"]["Config"][0]["Subnet"])
            finally:
                probe.remove()

    # ------------------------------------------------------------ making and removing

    async def begin(self, node: NodeSpec, environment: Mapping[str, str]) -> ProcessHandle:
        return await self.containers[node.name].begin(node, environment)

    async def make(self) -> None:
        assert self._project is not None
        self._say("making the containers")
        profiles = [
            transport(self.spec.transport).broker,
            LINKS if self.spec.breakable else "",
            ELECTOR if self.spec.servers > 1 else "",
        ]
        await self._project.create(dict.fromkeys(SERVICES, self.spec.workers), filter(None, profiles))
        containers = await asyncio.to_thread(self._find)
        self._helper = containers.pop(LINKS, None)
        self.containers = containers
        lost = [node_spec.name for node_spec in self._planned.nodes if node_spec.name not in containers]
        if lost:
            raise EnvironmentFailure(f"Compose made no container for {', '.join(lost)}")
        networks = await asyncio.to_thread(self._connect_all)
        if self._helper is not None:
            await self._let_serve(self._helper, networks)

    def _find(self) -> dict[str, Container]:
        with engine_errors("the engine cannot list its containers"):
            handles = self._client.containers.list(all=True, filters=filters(deployment=self._planned.tag))
        containers = {}
        for handle in handles:
            name = resources.name_of(handle)
            silent, gateway = layout.serves_only(name), is_gateway(name)
            port = GATEWAY_PORT if gateway else layout.SERVICE_PORT
            containers[name] = Container(
                handle,
                probed_by_http=not silent,
                inner_port=f"{port}/tcp",
                reads_environment_file=not silent and not gateway,
            )
            containers[name].drain = drain_signal(name)
        return containers

    def _connect_all(self) -> dict[str, Any]:
        """Attach every node to its networks, at its address; return the networks by their names in the layout. Blocks.

        Some versions of Compose attach all networks but one at the start of a container, and here Compose starts none.
        """
        with engine_errors("the containers cannot be connected"):
            listed = self._client.networks.list(filters=filters(deployment=self._planned.tag))
            networks = {net.name.rpartition("_")[2]: net for net in listed}
            for attachment in self._layout.attachments():
                self._connect(self.containers[attachment.node], networks[attachment.network], attachment)
            if self._helper is not None:
                for attachment in layout.helper_attachments(self._layout.nets):
                    self._connect(self._helper, networks[attachment.network], attachment)
        return networks

    def _connect(self, container: Container, network: Any, attachment: layout.Attachment) -> None:
        if network.name in container.handle.attrs["NetworkSettings"]["Networks"]:
            network.disconnect(container.handle)
        network.connect(container.handle, ipv4_address=attachment.address, aliases=list(attachment.names))

    async def _let_serve(self, helper: Container, networks: Mapping[str, Any]) -> None:
        """Start the proxy of the links and return once it serves: the nodes that it stands between connect through it.

        Raises `EnvironmentFailure`.
        """
        controller = self.network
        assert isinstance(controller, NetworkController)
        links = [(link.source, link.to, link.host, link.port, link.at[1]) for link in self._layout.links]
        node_spec = self._layout.node(LINKS, "service", "", helper.serves)
        life = await helper.begin(node_spec, {VARIABLE: json.dumps(links)})
        deadline = asyncio.get_running_loop().time() + START_WITHIN_S
        while not await helper.serves():
            if asyncio.get_running_loop().time() > deadline or life.ended:
                raise EnvironmentFailure(f"the proxy of the links does not serve (log: {node_spec.log})")
            await asyncio.sleep(0.02)
        controller.attached(networks, {name: container.handle for name, container in self.containers.items()}, life.url)

    async def remove(self) -> None:
        """Remove the containers, networks and volatile volumes by their labels, as leftovers of a killed command are removed."""
        if self._project is not None:
            for container in (*self.containers.values(), *([self._helper] if self._helper else [])):
                container.close()
            self._project = None
            await asyncio.to_thread(resources.remove, self._planned.tag, volumes=self._volatile)
        if self._client is not None:
            self._client.close()
            self._client = None

    @property
    def _layout(self) -> Planner:
        assert self._planner is not None, "used before it was planned"
        return self._planner

    @property
    def _planned(self) -> DeploymentPlan:
        assert self._plan is not None, "used before it was planned"
        return self._plan

    # ------------------------------------------------------------ for faults

    def store_logs(self) -> Mapping[str, Log]:
        stores = self._planned.stores
        return {store.name: ContainerLog(self.containers[store.name], self.spec.durability) for store in stores}

    def watches(self) -> Iterable[tuple[Callable[[], Coroutine[Any, Any, None]], str]]:
        self._sampler = UsageSampler(self.containers)
        return [(self._sampler.run, "the watch of the containers' usage")]

    def usage(self) -> list[dict[str, Any]]:
        """Return the usage of each container so far; empty before it is up."""
        return self._sampler.rows() if self._sampler else []

    async def largest_file(self, store: str) -> int:
        return int(await asyncio.to_thread(self.containers[store].output_of, ["sh", "-c", LARGEST]))

    async def inject_poison(self, service: str, name: str, running: Sequence[str]) -> Sequence[str]:
        command = [
            *BROKER_COMMAND,
            "inject",
            service,
            name,
        ]  # the messages are sent twice if the engine loses the names
        printed = await asyncio.to_thread(self._run_in_one_of, running, command)
        return printed.decode().split()

    async def dead_letters(self, running: Sequence[str]) -> Sequence[bytes]:
        printed = await asyncio.to_thread(self._run_in_one_of, running, [*BROKER_COMMAND, "list"])
        return [b64decode(line) for line in printed.split()]

    def _run_in_one_of(self, running: Sequence[str], command: Sequence[str]) -> bytes:
        """Run a command in the first service process that can, and return its output. Blocks. Raises `EnvironmentFailure`.

        This machine cannot run it: the broker is on no network of its own.
        """
        failure = EnvironmentFailure("no service runs that could reach the broker")
        for name in running:
            try:
                return self.containers[name].output_of([*command])
            except EnvironmentFailure as error:
                failure = error
        raise failure

    async def settled(self) -> None:
        for container in self.containers.values():
            await container.settled()
        trouble = [line for container in self.containers.values() for line in container.take_trouble()]
        if trouble:
            raise EnvironmentFailure("; ".join(trouble))

    async def heal(self) -> None:
        for container in self.containers.values():
            await container.thaw()
        await self.settled()
