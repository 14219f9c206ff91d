"""A whole shop in the simulator: a `Breakable` runtime that can inject every kind of fault."""

import asyncio
import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

from harness.errors import EnvironmentFailure
from harness.runtimes.base import SECOND_ELECTOR, Capability, FaultOwnership, LinkId, Node, Rule
from harness.runtimes.deployment.injected_faults import InjectedFaults
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.sim.client import SimClient
from harness.runtimes.sim.copy_server import CopyServer
from harness.runtimes.sim.elector import simulated_electors
from harness.runtimes.sim.gateway import SimGateway
from harness.runtimes.sim.links import post
from harness.runtimes.sim.loop import VirtualLoop
from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.network import SimulatedNetwork
from harness.runtimes.sim.process import Died, Process, Surroundings
from harness.runtimes.sim.server import Server
from harness.runtimes.sim.stores import ServerSet, simulated_stores
from harness.runtimes.sim.world import World
from protocols.core import Command, Config, Protocol
from protocols.registry import load
from protocols.service.faults import Faults
from protocols.service.links import poison, transport
from protocols.service.settings import timing_for
from protocols.shop.services import SERVICES

UP_WITHIN_S = 30.0
ALWAYS: frozenset[Capability] = frozenset(
    {"signals", "links", "messages", "clock", "failpoints", "log-tail", "disk", "drain"}
)
COPIED: frozenset[Capability] = frozenset({"copies", "electors"})
BROKERED: frozenset[Capability] = frozenset({"dead-letters"})


class Simulation:
    """A simulated shop. `seed` decides the course of machines, network and scheduler; `salt` gives the seed another course."""

    def __init__(self, spec: Spec, seed: int, loop: VirtualLoop, salt: int = 0) -> None:
        self.world = World(seed, loop, salt)
        self.holds = FaultOwnership()
        self.defects: list[str] = []
        self._wanted = InjectedFaults()
        self._protocol = load(spec.protocol)
        self._statuses = spec.statuses
        self._keys = itertools.count()
        limit_ms = round(spec.time_limit_s * 1000)
        self._config = self._protocol.configure(spec.options, spec.ablate, timing_for(limit_ms))
        names = {service: [f"{service}-{n + 1}" for n in range(spec.workers)] for service in SERVICES}
        self._network = SimulatedNetwork(self.world)
        self._stores = simulated_stores(spec, self._protocol, self._config, self._network, self._on_failure)
        electors = simulated_electors(spec, self._config, self._network, self._stores.values())
        self._network.add(_link_ids(names, self._stores))
        surroundings = self._surroundings = Surroundings(
            self.world,
            self._network,
            spec,
            self._protocol,
            self._config,
            self._stores,
            self._wanted.lasting,
            defects=self.defects,
        )
        numbers = itertools.count(len(SERVICES) + 1)
        self._processes = surroundings.instances
        for service in SERVICES:
            self._processes[service] = [Process(name, service, next(numbers), surroundings) for name in names[service]]
        fronts = ["gateway"] if spec.gateways == 1 else [f"gateway-{n + 1}" for n in range(spec.gateways)]
        self._gateways = [SimGateway(self.world, name, next(numbers), spec.respawn_after_s) for name in fronts]
        processes = [process for instances in self._processes.values() for process in instances]
        servers = [server for store in dict.fromkeys(self._stores.values()) for server in store.servers]
        self._second_elector = electors[1] if electors else None
        machines = (*servers, *processes, *self._gateways, *electors[:1])
        self._machines: dict[str, Machine] = {machine.name: machine for machine in machines}
        loop.set_exception_handler(self._defect)

    # ------------------------------------------------------------ the runtime's port

    @property
    def url(self) -> str:
        """Return the name of the gateway; no client can connect to it."""
        return "sim://gateway"

    def client(self, limit_s: float, repeats: bool = False) -> SimClient:
        """Return a client that waits so many seconds for a response; see `SimClient`."""
        return SimClient(self._gateways, self._processes, limit_s, self._statuses, self._keys, repeats)

    async def up(self) -> None:
        for machine in self._machines.values():
            machine.boot()
        await self._serving(self._machines.values())
        async with asyncio.timeout(UP_WITHIN_S):
            while not all(store.primary for store in self._stores.values()):
                await asyncio.sleep(0.05)

    async def down(self) -> None:
        """Raise `EnvironmentFailure` with the first defect of a service, if there was one."""
        if self.defects:
            raise EnvironmentFailure(f"a service of the simulation failed: {self.defects[0]}")

    def nodes(self) -> tuple[Node, ...]:
        return tuple([machine.node() for machine in self._machines.values()])

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        self._machine(name).kill(stay_down=stay_down)

    def terminate(self, name: str) -> None:
        self._machine(name).terminate()

    def pause(self, name: str) -> None:
        self._machine(name).pause()

    def resume(self, name: str) -> None:
        self._machine(name).resume()

    async def restart(self, name: str) -> None:
        machine = self._machine(name)
        Machine.kill(machine, stay_down=True)
        machine.revive()
        await self._serving((machine,))

    async def settled(self) -> None:
        """Return: every order takes effect at once, but for kills that wait for a failpoint (`Process.kill`)."""

    # ------------------------------------------------------------ the port for faults

    @property
    def capabilities(self) -> frozenset[Capability]:
        dead_letters = BROKERED if transport(self._surroundings.spec.transport).broker else frozenset[Capability]()
        return ALWAYS | dead_letters | (COPIED if self._second_elector else frozenset())

    def revive(self, name: str) -> None:
        self._machine(name).revive()

    def links(self) -> tuple[LinkId, ...]:
        return tuple(link_id for link_id in self._network.link_ids if link_id[0] != SECOND_ELECTOR)

    def apply_rule(self, by: Hashable, links: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        self._network.apply_rule(by, links, rule, rng)

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        self._network.remove_rules(by, reset=reset)

    def configured(self) -> tuple[Protocol, Config]:
        return self._protocol, self._config

    async def disturb(self, by: Hashable, names: Iterable[str], faults: Faults) -> None:
        self._apply_faults(self._wanted.put(by, names, faults))

    async def undisturb(self, by: Hashable) -> None:
        self._apply_faults(self._wanted.take(by))

    async def cut_tail(self, name: str, rng: Random) -> str:
        return f"{name}: {self._server(name).cut_tail(rng)}"

    async def fill_disk(self, name: str) -> None:
        self._server(name).fill_disk()

    async def free_disk(self, name: str) -> None:
        self._server(name).free_disk()

    def primaries(self) -> Mapping[str, str]:
        stores = [store for store in self._stores.values() if store.copies]
        return {store.name: store.primary.name for store in stores if store.primary is not None}

    async def empty_store(self, name: str) -> str:
        server = self._server(name)
        assert isinstance(server, CopyServer)
        return f"{name}: {server.wipe()}"

    async def start_elector(self) -> None:
        assert self._second_elector is not None
        self._second_elector.revive()

    async def stop_elector(self) -> None:
        if self._second_elector is not None:
            self._second_elector.kill(stay_down=True)

    async def inject_poison(self, service: str, name: str) -> Sequence[str]:
        made = poison.messages(self._protocol, self._config, service, name)
        for body in made.values():
            post(self.world, self._processes[service], body)
        return tuple(made)

    async def dead_letters(self) -> Sequence[bytes]:
        return tuple(self._surroundings.dead_letters)

    async def heal(self) -> None:
        for machine in self._machines.values():
            machine.resume()
            if isinstance(machine, Server):
                machine.free_disk()
            machine.revive()
        await self.stop_elector()
        self._network.remove_all_rules()
        self._network.calm()
        self._apply_faults(self._wanted.clear())

    # ------------------------------------------------------------ the state of the stores

    async def unfinished(self) -> list[dict[str, Any]]:
        """Return the unfinished transactions as `harness.runtimes.admin.AdminClient.unfinished` does, read from the stores.

        Raises `EnvironmentFailure` for a service that could not answer.
        """
        rows = []
        now_ms = self.world.now_us() // 1000
        for service, store in self._stores.items():
            server = store.primary
            if (
                server is None
                or server.state != "running"
                or not any(process.state == "running" for process in self._processes[service])
            ):
                raise EnvironmentFailure(f"the {service} service does not answer")
            if store.service != service:
                continue  # the store is another service's, and read there
            rows += [
                {"txn": txn, "service": service, "state": state, "subject": subject, "since_ms": max(0, now_ms - since)}
                for txn, state, subject, since in server.twin.run(Command("list_txns"), now_ms)
            ]
        return sorted(rows, key=lambda row: (row["txn"], row["service"]))

    # ------------------------------------------------------------ inside

    def _machine(self, name: str) -> Machine:
        if name not in self._machines:
            raise KeyError(f"no node {name!r}; there are: {', '.join(self._machines)}")
        return self._machines[name]

    def _server(self, name: str) -> Server:
        server = self._machine(name)
        assert isinstance(server, Server)
        return server

    async def _serving(self, machines: Iterable[Machine]) -> None:
        async with asyncio.timeout(UP_WITHIN_S):
            while any(machine.state != "running" for machine in machines):
                await asyncio.sleep(0.05)

    def _apply_faults(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            process = self._machine(name)
            assert isinstance(process, Process)
            if process.accepts:
                process.enter(process.life, lambda p=process: p.fault_injector.apply(self._wanted.of(p.name)))  # type: ignore[misc]

    def _on_failure(self, command: Command, why: str) -> None:
        """Record the failure of a command as a defect of the protocol, unless a fault injected it as poison."""
        if not poison.is_poison(command):
            self.defects.append(why)

    def _defect(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Record an error that no code has caught as a defect, unless it is the end of a process."""
        error = context.get("exception")
        if error is not None and not isinstance(error, Died):
            self.defects.append(f"{type(error).__name__}: {error}")


def _link_ids(names: Mapping[str, list[str]], stores: Mapping[str, ServerSet]) -> list[LinkId]:
    """Return the links: from each process to the other services' processes and to the servers of its store; those of copies."""
    services = [(service, name) for service, processes in names.items() for name in processes]
    return [
        *((name, other) for service, name in services for whose, other in services if whose != service),
        *((name, server.name) for service, name in services for server in stores[service].servers),
        *(link for store in dict.fromkeys(stores.values()) for link in store.links()),
    ]
