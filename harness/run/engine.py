"""The engine of a run: start, set-up, load under faults, heal, quiescence, and the reads at the end."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
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
from harness.run.prober import Prober
from harness.run.quiescence import Names
from harness.runtimes.base import Node, Runtime
from harness.runtimes.environment import Environment
from harness.workload.base import Shop
from protocols import registry
from protocols.errors import UsageError
from protocols.service.tasks import SupervisedTasks

WATCH_EVERY_S = 1.0
NODES_EVERY_S = 0.1
COSTS_EVERY_S = 1.0
ANSWER_WITHIN_S = 4.0
UNCLAIMED_RECOVERY_S = 2.0
"""The time-out of clients beyond the limit of the services: the services and the gateway answer first."""

UNDO_WITHIN_S = 10.0
POISON = "poison"


@dataclass
class RunEngine:
    """One run in its environment. `load` makes the clients. `schedule` has the drawn faults, once the shop is up."""

    plan: Plan
    environment: Environment
    recorder: Recorder
    names: Names
    load: MakeLoad = ClosedLoad
    schedule: list[Fault] | None = None

    async def run(self) -> None:
        """Run the plan. Also after a failure no node is left paused and no link cut; the shop stays up.

        Raises `EnvironmentFailure`, `HistoryError`, `SetupFailed` if the shop cannot be examined, or `UsageError` naming a
        state that the protocol lists and does not map.
        """
        runtime = self.environment.runtime
        self.recorder.phase("up")
        await runtime.up()
        nemesis = Nemesis(runtime, self.recorder, self.plan.seed)
        tasks = SupervisedTasks()
        tasks.start(_watching("nodes", watch_nodes(self.environment.runtime, self.recorder)), "nodes")
        tasks.start(_watching("unfinished transactions", self._prober.watch(WATCH_EVERY_S)), "probes")
        tasks.start(_watching("costs", self._watch_costs()), "costs")
        try:
            # A watch that fails ends the run: an unrecorded death would make the checkers explain a violation wrongly.
            await tasks.run_beside(self._examine(nemesis))
            used = self.environment.usage()
            if used:
                self.recorder.event("usage", nodes=used)
        finally:
            # After `heal` there is nothing left to undo. After a failure before it, the nemesis would go on while the shop is
            # stopped. A failure here must not hide the one of the run.
            with suppress(EnvironmentFailure, TimeoutError):
                await asyncio.wait_for(nemesis.drop(), UNDO_WITHIN_S)

    @cached_property
    def _prober(self) -> Prober:
        return Prober(
            self.recorder, self.environment.list_unfinished, registry.load(self.plan.protocol), self._recovery_s
        )

    @property
    def _recovery_s(self) -> float:
        """Return the seconds that the shop has for its recovery, also where its protocol claims no bound."""
        return self.plan.claims().recovery_s or UNCLAIMED_RECOVERY_S

    async def _examine(self, nemesis: Nemesis) -> None:
        limit_s = self.plan.scenario.time_limit_s + ANSWER_WITHIN_S
        async with self.environment.client(limit_s, repeats=self.plan.scenario.clients_repeat) as client:
            clients = ClientPool(client, self.recorder)
            self.schedule = await self._draw()
            self.recorder.phase("setup")
            shop = await set_up(self.plan.scenario.workload, clients, self.plan.seed)
            await self._load(shop, clients, nemesis)
            self.recorder.phase("final")
            await quiescence.read_all(clients, self.names.reads())

    async def _draw(self) -> list[Fault]:
        """Return the schedule of the plan, or draw it, and record the faults of the scenario that are never due."""
        if self.plan.schedule is not None:
            return list(self.plan.schedule)
        scenario, runtime = self.plan.scenario, self.environment.runtime
        needed = any(fault.kind == "crash-at" for fault in scenario.faults)
        # In a thread: the search for the failpoints takes a second, and would stop the loop and its probes for so long.
        known = await asyncio.to_thread(failpoints, *runtime.configured()) if needed else ()
        brokers = [node.name for node in runtime.nodes() if node.kind == "broker"]
        # Recorded, or a scenario whose faults never come would look like one that the shop has survived.
        for fault, why in scenario.never_due(self.plan.seed, brokers):
            target = ", ".join(fault.targets)
            self.recorder.event("fault-refused", fault=fault.kind, target=target, why=why, at_s=fault.at_s[0])
        return scenario.schedule(self.plan.seed, known, brokers)

    async def _load(self, shop: Shop, clients: ClientPool, nemesis: Nemesis) -> None:
        """Run load and faults side by side; then heal, and wait for quiescence."""
        load = self.load(self.plan.scenario.workload, shop, clients, self.plan.seed)
        try:
            await load.ready()
            self.recorder.phase("load")
            load.start([fault.at_s for fault in self.schedule or ()])
            nemesis.begin(self.schedule or [])
            with suppress(TimeoutError):
                async with asyncio.timeout(self.plan.scenario.duration_s):
                    await load.finished()
            # Stopped before the heal: the recovery time counts from there, and new transactions would never let it end.
            load.stop()
            self.recorder.phase("heal")
            await nemesis.heal()
            self._prober.healed()
            await quiescence.await_quiescence(self._prober, load.drained(), self._recovery_s)
            if "dead-letters" in self.environment.runtime.capabilities:
                planted = " ".join(nemesis.reports.get(POISON, ())).split()
                await quiescence.record_dead_letters(self.recorder, self.environment.runtime.dead_letters, planted)
        finally:
            await load.abandon()  # clients of a failed run would record operations into a closed history

    async def _watch_costs(self) -> None:
        """Record the usage of each node so far, if the runtime measures it."""
        while self.environment.costs is not None:
            self.recorder.event("cost", nodes=await self.environment.costs())
            await asyncio.sleep(COSTS_EVERY_S)


async def watch_nodes(runtime: Runtime, recorder: Recorder) -> None:
    """Record every change of the state or the process of a node, until cancelled."""
    known: dict[str, Node] = {}
    while True:
        for node in runtime.nodes():
            before = known.get(node.name)
            if before is None or (before.state, before.pid) != (node.state, node.pid):
                about = {"state": node.state, "pid": node.pid, "kind": node.kind, "service": node.service}
                recorder.event("node", name=node.name, **about)
            known[node.name] = node
        await asyncio.sleep(NODES_EVERY_S)


async def _watching(what: str, work: Coroutine[Any, Any, None]) -> None:
    """Run a watch. Raises `SetupFailed` for its defect: a history with an unwatched part proves nothing."""
    try:
        await work
    except (HistoryError, EnvironmentFailure, UsageError):  # the last: a state that the protocol does not map
        raise
    except Exception as error:
        raise SetupFailed(f"the watch of the {what} failed: {error!r}") from error
