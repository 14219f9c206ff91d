"""One round of an examination: load with or without faults, the heal, a last sale, the settling, and the final reads.

After the heal, one user after the other buys one item after the other, alone: a user or an item that can never be served again
is held by a lock or by an unfinished transaction. The shop shows nothing but its public API, so quiescence is not visible: the
round then reads all users, items and orders again and again until they are consistent, at most for the `settle_s` that the user
grants, and records how long that took.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile

from harness import faults as fault_kinds
from harness.checkers import atomicity, conservation, exactly_once
from harness.checkers.finding import Verdict
from harness.checkers.verdict import TROUBLE
from harness.faults import Fault
from harness.history import Event, FileRecorder, History, Operation
from harness.history import load as load_history
from harness.history.recorder import Recorder
from harness.judge.afterwards import sell_again
from harness.judge.examination import Examination
from harness.judge.settling import settle
from harness.run.engine import watch_nodes
from harness.run.load import ClientPool, ClosedLoad, MakeLoad, SetupFailed, set_up
from harness.run.nemesis import Nemesis
from harness.run.quiescence import Names, read_all
from harness.workload.base import Shop, Workload
from harness.workload.client import ACCEPTED
from protocols.service.tasks import SupervisedTasks

SET_UPS = 3
"""Set-ups that a shop may fail before the round is given up: after a kill, the first requests of a shop often fail."""

BETWEEN_SET_UPS_S = 1.0
UNDO_WITHIN_S = 20.0
POLL_S = 0.1
REJECTS_AFTER_NS = 3_000_000_000
"""Nanoseconds after a kill from which a rejection shows that the shop serves: an earlier one may be of the dead node."""
STEADY_S = 1.0
READ_WITHIN_S = 5.0
"""Seconds that are kept for the final reads."""

FINAL_PASSES = 4
"""Passes of the final reads: a transaction that ends during a pass makes it inconsistent, and is no violation."""


@dataclass(frozen=True, kw_only=True)
class Round:
    """The plan of a round. `duration_s` bounds the load, which ends earlier if its clients have no calls left.

    `last_sale`: whether users buy again after the settling; their deposits would disturb a workload of powers of two.
    """

    name: str
    workload: Workload
    duration_s: float
    faults: tuple[Fault, ...] = ()
    last_sale: bool = True
    load: MakeLoad = ClosedLoad


@dataclass
class Transcript:
    """A listener that keeps all lines of the history so far."""

    operations: list[Operation] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __call__(self, line: Operation | Event) -> None:
        if isinstance(line, Operation):
            self.operations.append(line)
        else:
            self.events.append(line)


async def conduct(plan: Round, examination: Examination, within_s: float) -> History:
    """Conduct a round of about `within_s` seconds, and return its history.

    A shop that does not settle gets its whole settling time as well, from the budget of later parts. A round that is not over
    then is recorded as interrupted. Whatever happens, the shop is healed. Raises `EnvironmentFailure`
    if the history cannot be written or a fault cannot be undone.
    """
    wanted = [{"kind": fault.kind, "target": list(fault.targets), "at_s": fault.at_s} for fault in plan.faults]
    header = examination.header(plan.name, plan.workload, wanted)
    transcript, names = Transcript(), Names(untouched=plan.workload.reads_untouched)

    def publish(line: Operation | Event) -> None:
        transcript(line)
        names(line)

    path = examination.folder / f"{plan.name}.ndjson"
    with FileRecorder(path, header, listener=publish) as recorder:
        conductor = _Conductor(plan, examination, recorder, transcript, names)
        limit_s = min(examination.left_s, within_s + 2 * examination.limits.settle_s + examination.limits.answer_s)
        conductor.ends_s = asyncio.get_running_loop().time() + limit_s
        try:
            async with asyncio.timeout(limit_s):
                await conductor.run()
        except TimeoutError:
            conductor.give_up(f"the round was stopped after {limit_s:.0f} s, in the middle of its work")
        except SetupFailed as failure:
            conductor.give_up(str(failure))
    return load_history(path)


@dataclass
class _Conductor:
    plan: Round
    examination: Examination
    recorder: Recorder
    transcript: Transcript
    names: Names
    ends_s: float = 0.0

    def give_up(self, why: str) -> None:
        """Record why the round ended early, and close its history as incomplete."""
        self.recorder.event(TROUBLE, why=why)
        self.recorder.close(complete=False)

    async def run(self) -> None:
        shop = self.examination.shop
        tasks = SupervisedTasks()
        tasks.start(watch_nodes(shop.runtime, self.recorder), "nodes")
        nemesis = Nemesis(shop.runtime, self.recorder, self.examination.seed, self._serves_again)
        try:
            async with shop.connect(self.examination.limits.answer_s) as client:
                await tasks.run_beside(self._examine(ClientPool(client, self.recorder), nemesis))
        finally:
            with suppress(TimeoutError):
                await asyncio.wait_for(nemesis.drop(), UNDO_WITHIN_S)
            await fault_kinds.heal_all(shop.runtime)

    async def _examine(self, clients: ClientPool, nemesis: Nemesis) -> None:
        self.recorder.phase("setup")
        goods = await self._set_up(clients)
        await self._load(goods, clients, nemesis)
        if self.plan.last_sale:
            self.recorder.phase("last-sale")
            limit_s = self._settle_s(asyncio.get_running_loop().time())
            await sell_again(clients, goods, self.transcript.operations, limit_s)
        await self._read_at_the_end(clients)

    async def _serves_again(self) -> None:
        """Wait until the shop has served after the last fault, with every node running, at most its settling time.

        A shop has to survive the death of any one node, and not that of a second one while the first is coming back.
        """
        nodes = self.examination.shop.runtime.nodes
        with suppress(TimeoutError):
            async with asyncio.timeout(self.examination.limits.settle_s):
                while not self._served_since_the_last_fault() or any(node.state == "down" for node in nodes()):
                    await asyncio.sleep(POLL_S)

    def _extension_s(self) -> float:
        """Return how much longer than planned the load may last for faults that had to wait (`_serves_again`)."""
        settle_s = self.examination.limits.settle_s
        left_s = self.ends_s - asyncio.get_running_loop().time() - 2 * settle_s - READ_WITHIN_S
        return max(0.0, min(settle_s * len(self.plan.faults), left_s))

    def _served_since_the_last_fault(self) -> bool:
        """Whether a checkout that began after the last start of a fault was acknowledged, or rejected some time after it."""
        start_ns = max((event.at_ns for event in self.transcript.events if event.kind == "fault-start"), default=None)
        if start_ns is None:
            return True
        since = takewhile(lambda operation: operation.completed_ns > start_ns, reversed(self.transcript.operations))
        return any(
            operation.op == "checkout"
            and operation.invoked_ns > start_ns + (0 if operation.outcome == "ok" else REJECTS_AFTER_NS)
            and operation.outcome != "unknown"
            for operation in since
        )

    async def _read_at_the_end(self, clients: ClientPool) -> None:
        """Let the shop settle and read everything, again where only the reads of the history are inconsistent."""
        begin_s, steady_s = asyncio.get_running_loop().time(), self._steady_s()
        for _ in range(FINAL_PASSES):
            self.recorder.phase("settle")
            async with self.examination.shop.connect(self.examination.limits.answer_s) as reader:
                left = await settle(
                    self.recorder,
                    reader,
                    partial(self._inconsistent, tuple(self.transcript.operations)),
                    self.names.reads,
                    begin_s=begin_s,
                    limit_s=self._settle_s(begin_s),
                    steady_s=steady_s,
                )
            earlier = tuple(self.transcript.operations)
            self.recorder.phase("final")
            reads = await read_all(clients, self.names.reads())
            if left or not self._inconsistent(earlier, reads):
                break
            steady_s = max(steady_s, STEADY_S)

    def _settle_s(self, begin_s: float) -> float:
        """Return the settling time from `begin_s`, less near the end of the round: the final reads come before its end."""
        left_s = self.ends_s - begin_s
        return max(0.0, min(self.examination.limits.settle_s, left_s - READ_WITHIN_S))

    def _steady_s(self) -> float:
        """Return for how long the answers must not change: a checkout without a certain answer may begin its effects late."""
        checkouts = [operation for operation in self.transcript.operations if operation.op == "checkout"]
        if any(checkout.status == ACCEPTED for checkout in checkouts):
            return self.examination.limits.settle_s / 2
        return STEADY_S if any(checkout.outcome == "unknown" for checkout in checkouts) else 0.0

    async def _set_up(self, clients: ClientPool) -> Shop:
        """Set the shop up, with fresh users and items after a failure: a deposit of unknown outcome is never repeated."""
        for attempt in range(SET_UPS):
            try:
                return await set_up(self.plan.workload, clients, self.examination.seed)
            except SetupFailed:
                if attempt == SET_UPS - 1:
                    raise
                await asyncio.sleep(BETWEEN_SET_UPS_S)
        raise AssertionError("the last attempt returns or raises")

    async def _load(self, goods: Shop, clients: ClientPool, nemesis: Nemesis) -> None:
        load = self.plan.load(self.plan.workload, goods, clients, self.examination.seed)
        try:
            await load.ready()
            self.recorder.phase("load")
            load.start([fault.at_s for fault in self.plan.faults])
            nemesis.begin(self.plan.faults)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.plan.duration_s):
                    await load.finished()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._extension_s()):
                    await nemesis.all_begun()
            load.stop()
            self.recorder.phase("heal")
            await nemesis.heal()
            self.recorder.event("healed")
            await load.drained()
        finally:
            await load.abandon()

    def _inconsistent(self, earlier: Sequence[Operation], reads: Sequence[Operation]) -> list[str]:
        """Return the names of the violations that the earlier operations have if these reads are the final ones."""
        at_ns = min((read.invoked_ns for read in reads), default=0)
        events = [*self.transcript.events, Event("phase", at_ns, {"name": "final"})]
        header = self.examination.header(self.plan.name, self.plan.workload)
        history = History(header, [*earlier, *reads], events)
        findings = [checker.check(history) for checker in (conservation, atomicity, exactly_once)]
        return [
            violation.name
            for finding in findings
            if finding.verdict == Verdict.VIOLATED
            for violation in finding.violations
        ]
