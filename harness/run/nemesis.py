"""The nemesis, which injects the faults of a schedule and undoes all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from random import Random
from typing import Any

from harness import faults
from harness.errors import EnvironmentFailure
from harness.faults import Fault
from harness.history.recorder import Recorder
from harness.run.load import SetupFailed
from harness.runtimes.base import Breakable
from harness.workload.base import stream
from protocols.errors import UsageError
from protocols.service.tasks import Background

BACK_WITHIN_S = 20.0
POLL_S = 0.05


class Nemesis:
    """The injection of a schedule into a runtime, with the events `fault-start`, `fault-end` and `fault-refused`.

    `fault-start` names the nodes or links that the fault is `aimed` at, and those of the nodes that were `down` before it.
    `fault-refused` has the reason why a fault was not injected. `ready` returns once the next fault may start, beyond its time.
    """

    def __init__(
        self,
        runtime: Breakable,
        recorder: Recorder,
        seed: int,
        ready: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._runtime = runtime
        self._ready = ready
        self._recorder = recorder
        self._seed = seed
        self._tasks = Background(lambda _: None)  # `heal` raises their first failure
        self._active: list[Fault] = []
        self._to_come: list[Fault] = []
        self._start_lock = asyncio.Lock()
        self.reports: dict[str, list[str]] = {}
        """The reports of the faults that have begun, by kind."""

    def begin(self, schedule: Sequence[Fault]) -> None:
        """Start the schedule in the background. Faults that this runtime cannot inject are refused now."""
        started = asyncio.get_running_loop().time()
        refusals: dict[tuple[Any, ...], str | None] = {}
        for fault in schedule:
            # Once for all occurrences of a fault: a check may search for failpoints, and a schedule has dozens of faults.
            key = (fault.kind, fault.targets, tuple(sorted(fault.settings.items())))
            if key not in refusals:
                refusals[key] = faults.refuse(self._runtime, fault)
            why = refusals[key]
            if why:
                self._refused(fault, why)
            else:
                # By kind and time, not by number: `shrink` leaves out other faults, and the draws of this one must not change.
                rng = stream(self._seed, f"fault:{fault.kind}:{fault.at_s}")
                self._to_come.append(fault)
                self._tasks.run(self._carry_out(fault, started, rng), fault.kind)

    async def all_begun(self) -> None:
        """Return once every fault of the schedule has begun or was refused."""
        while self._to_come:
            await asyncio.sleep(POLL_S)

    async def heal(self) -> None:
        """Undo all faults, and wait until every node serves.

        Raises `SetupFailed` naming the nodes that do not come back, the fault that could not be ended, or the failure of the
        nemesis itself.
        """
        # First of all: a task that goes on would inject its fault into the healed shop.
        await self._tasks.stop()
        # A failed task has injected nothing after its failure, and the run would be judged as if its faults had happened.
        if self._tasks.failure is not None:
            raise SetupFailed(f"the nemesis failed: {self._tasks.failure!r}") from self._tasks.failure
        # Recorded as refused, or the report would count faults that were cancelled before their start.
        for fault in self._to_come:
            self._refused(fault, "the load was over before it had begun")
        self._to_come.clear()
        try:
            await faults.heal_all(self._runtime)
        except Exception as failure:
            why = failure if isinstance(failure, EnvironmentFailure) else repr(failure)
            raise SetupFailed(f"a fault could not be ended: {why}") from failure
        # Faults without a duration, and those whose end has failed before: they lasted until now.
        for fault in tuple(self._active):
            self._ended(fault)
        await self._all_back()

    async def drop(self) -> None:
        """Undo all faults without a record: the history may be closed already."""
        await self._tasks.stop()
        await faults.heal_all(self._runtime)

    # ------------------------------------------------------------ inside

    async def _carry_out(self, fault: Fault, started: float, rng: Random) -> None:
        await asyncio.sleep(started + fault.at_s - asyncio.get_running_loop().time())
        # One start at a time: a start may take more than a second (a kill by a busy engine), and without the lock a later fault
        # could start before an earlier one, so that the same schedule would have other effects.
        async with self._start_lock:
            if self._ready is not None:
                await self._ready()
            begun = await self._start(fault, rng)
        if begun is not None and fault.for_s:
            await asyncio.sleep(fault.for_s)
            # Not ended, it stays in `_active` until `heal`, which tries again and raises if that fails too.
            with suppress(EnvironmentFailure):
                await faults.end(self._runtime, begun)
                self._ended(begun)

    async def _start(self, fault: Fault, rng: Random) -> Fault | None:
        """Start a fault and return it as it has begun; None if that failed."""
        # Before the start: after a kill the targets are down, and the report could not tell which of them the fault met.
        down = {node.name for node in self._runtime.nodes() if node.state == "down"}
        try:
            begun, report = await faults.start(self._runtime, fault, rng)
        except (EnvironmentFailure, UsageError) as error:
            self._failed(fault, str(error))
            return None
        except Exception as error:  # noqa: BLE001  a defect of this fault: the others go on, and it is recorded as refused
            self._failed(fault, f"it raised {type(error).__name__}: {error}")
            return None
        self._to_come.remove(fault)
        self._started(begun, down, report)
        return begun

    def _started(self, begun: Fault, down: set[str], report: str) -> None:
        aimed = faults.aimed_at(self._runtime, begun)
        self._recorder.event(
            "fault-start",
            fault=begun.kind,
            target=_target(begun),
            settings=dict(begun.settings),
            said=report,
            aimed=aimed,
            down=[name for name in aimed if name in down],
        )
        self._active.append(begun)
        self.reports.setdefault(begun.kind, []).append(report)

    def _ended(self, fault: Fault) -> None:
        self._active.remove(fault)
        self._recorder.event("fault-end", fault=fault.kind, target=_target(fault))

    def _failed(self, fault: Fault, why: str) -> None:
        self._to_come.remove(fault)
        self._refused(fault, why)

    def _refused(self, fault: Fault, why: str) -> None:
        self._recorder.event("fault-refused", fault=fault.kind, target=_target(fault), why=why, at_s=fault.at_s)

    async def _all_back(self) -> None:
        now = asyncio.get_running_loop().time
        deadline = now() + BACK_WITHIN_S
        while lost := [node for node in self._runtime.nodes() if node.state != "running"]:
            if now() > deadline:
                names = ", ".join(f"{node.name} ({node.state})" for node in lost)
                raise SetupFailed(f"never came back within {BACK_WITHIN_S:g} s after the heal: {names}")
            await asyncio.sleep(POLL_S)


def _target(fault: Fault) -> str:
    return ", ".join(fault.targets)
