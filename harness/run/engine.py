"""The run itself: up, set up, load under faults, heal, come to rest, read, down."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.errors import EnvironmentFailure
from harness.explore.failpoints import failpoints
from harness.faults import Fault
from harness.history.format import HistoryError
from harness.history.recorder import Recorder
from harness.run import quiescence
from harness.run.load import ClientPool, ClosedLoad, MakeLoad, SetupFailed, set_up
from harness.run.nemesis import Nemesis
from harness.run.plan import Plan
from harness.run.quiescence import Names
from harness.runtimes.base import Node
from harness.runtimes.environment import Environment
from harness.workload.base import Shop
from protocols import registry
from protocols.core import Protocol
from protocols.errors import UsageError
from protocols.service.tasks import SupervisedTasks

LOOK_EVERY_S = 1.0
NODES_EVERY_S = 0.1
COSTS_EVERY_S = 1.0
ANSWER_WITHIN_S = 4.0  # on top of the services' own limit, so that they and the gateway answer first
UNDO_WITHIN_S = 10.0
POISON = "poison"


@dataclass
class RunEngine:
    """One run in its environment. `load` makes who asks. `schedule` is what was drawn, known once the shop is up."""

    plan: Plan
    environment: Environment
    recorder: Recorder
    names: Names
    load: MakeLoad = ClosedLoad
    schedule: list[Fault] | None = None

    async def run(self) -> None:
        """Whatever happens, nothing is left running, paused or cut off.

        Raises `EnvironmentFailure`, `HistoryError`, `SetupFailed` if the shop does not let itself be examined, or `UsageError`
        naming a state that the protocol lists and does not map.
        """
        runtime = self.environment.runtime
        self.recorder.phase("up")
        await runtime.up()
        nemesis = Nemesis(runtime, self.recorder, self.plan.seed)
        tasks = SupervisedTasks()
        tasks.start(_watching("nodes", self._watch_nodes()), "nodes")
        probes = quiescence.watch(self.recorder, self.environment.ask, self._protocol, LOOK_EVERY_S)
        tasks.start(_watching("unfinished transactions", probes), "probes")
        tasks.start(_watching("costs", self._watch_costs()), "costs")
        try:
            await tasks.run_beside(self._examine(nemesis))
            used = self.environment.usage()
            if used:
                self.recorder.event("usage", nodes=used)
        finally:
            with suppress(EnvironmentFailure, TimeoutError):
                await asyncio.wait_for(nemesis.drop(), UNDO_WITHIN_S)

    @property
    def _protocol(self) -> Protocol:
        return registry.load(self.plan.protocol)

    async def _examine(self, nemesis: Nemesis) -> None:
        limit_s = self.plan.scenario.time_limit_s + ANSWER_WITHIN_S
        async with self.environment.client(limit_s) as client:
            clients = ClientPool(client, self.recorder)
            self.schedule = await self._draw()
            self.recorder.phase("setup")
            shop = await set_up(self.plan.scenario.workload, clients, self.plan.seed)
            await self._load(shop, clients, nemesis)
            self.recorder.phase("final")
            await quiescence.read_all(clients, self.names.reads())

    async def _draw(self) -> list[Fault]:
        """The schedule. To find all failpoints of a protocol takes a search, which must not stop the clock."""
        if self.plan.schedule is not None:
            return list(self.plan.schedule)
        scenario, runtime = self.plan.scenario, self.environment.runtime
        wanted = any(one.kind == "crash-at" for one in scenario.faults)
        there = await asyncio.to_thread(failpoints, *runtime.configured()) if wanted else ()
        broker = any(node.kind == "broker" for node in runtime.nodes())
        for one, why in scenario.never_due(self.plan.seed, broker=broker):
            target = ", ".join(one.targets)
            self.recorder.event("fault-refused", fault=one.kind, target=target, why=why, at_s=one.at_s[0])
        return scenario.schedule(self.plan.seed, there, broker=broker)

    async def _load(self, shop: Shop, clients: ClientPool, nemesis: Nemesis) -> None:
        """Load and faults side by side; then heal, and wait until the shop has come to rest."""
        load = self.load(self.plan.scenario.workload, shop, clients, self.plan.seed)
        try:
            await load.ready()
            self.recorder.phase("load")
            load.start([fault.at_s for fault in self.schedule or ()])
            nemesis.begin(self.schedule or [])
            with suppress(TimeoutError):
                async with asyncio.timeout(self.plan.scenario.duration_s):
                    await load.broken()
            load.stop()
            self.recorder.phase("heal")
            await nemesis.heal()
            self.recorder.event("healed")
            bound_s = self.plan.claims().recovery_s
            await quiescence.await_quiescence(
                self.recorder, self.environment.ask, self._protocol, load.drained(), bound_s
            )
            if "dead-letters" in self.environment.runtime.capabilities:
                planted = " ".join(nemesis.said.get(POISON, ())).split()
                await quiescence.record_dead_letters(self.recorder, self.environment.runtime.dead_letters, planted)
        finally:
            await load.abandon()

    async def _watch_nodes(self) -> None:
        """Record every change of a node's state."""
        known: dict[str, Node] = {}
        while True:
            for node in self.environment.runtime.nodes():
                before = known.get(node.name)
                if before is None or (before.state, before.pid) != (node.state, node.pid):
                    about = {"state": node.state, "pid": node.pid, "kind": node.kind, "service": node.service}
                    self.recorder.event("node", name=node.name, **about)
                known[node.name] = node
            await asyncio.sleep(NODES_EVERY_S)

    async def _watch_costs(self) -> None:
        """Record what each node has used so far, where the runtime knows it."""
        while self.environment.costs is not None:
            self.recorder.event("cost", nodes=await self.environment.costs())
            await asyncio.sleep(COSTS_EVERY_S)


async def _watching(what: str, work: Coroutine[Any, Any, None]) -> None:
    """Raises `SetupFailed` for a defect of the watch: a history with a part that nobody has seen shows nothing."""
    try:
        await work
    except (HistoryError, EnvironmentFailure, UsageError):  # the last: a state that the protocol does not explain
        raise
    except Exception as error:
        raise SetupFailed(f"the watch of the {what} failed: {error!r}") from error
