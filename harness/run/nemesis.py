"""Who breaks things: carries out the schedule of faults, and undoes all of it."""

import asyncio
from collections.abc import Sequence
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
    """Records `fault-start`, `fault-end` and, for what was not injected, `fault-refused`.

    `fault-start` names the nodes or links that the fault was `aimed` at, and which of the nodes were `down` just then.
    """

    def __init__(self, runtime: Breakable, recorder: Recorder, seed: int) -> None:
        self._runtime = runtime
        self._recorder = recorder
        self._seed = seed
        self._tasks = Background(lambda _: None)  # `heal` raises what one of them failed with
        self._active: list[Fault] = []
        self._to_come: list[Fault] = []
        self._turn = asyncio.Lock()
        self.said: dict[str, list[str]] = {}
        """What the faults of each kind that have begun said of it."""

    def begin(self, schedule: Sequence[Fault]) -> None:
        """Let the schedule run beside whatever else does. What this runtime cannot do is refused now."""
        started = asyncio.get_running_loop().time()
        refusals: dict[tuple[Any, ...], str | None] = {}
        for fault in schedule:
            same = (fault.kind, fault.targets, tuple(sorted(fault.settings.items())))
            if same not in refusals:
                refusals[same] = faults.refuse(self._runtime, fault)
            why = refusals[same]
            if why:
                self._refused(fault, why)
            else:
                # Not by its number: what is left to chance stays the same when others are left out.
                rng = stream(self._seed, f"fault:{fault.kind}:{fault.at_s}")
                self._to_come.append(fault)
                self._tasks.run(self._carry_out(fault, started, rng), fault.kind)

    async def heal(self) -> None:
        """Undo everything, and return once every node serves.

        Raises `SetupFailed` naming the nodes that do not come back, or the fault that the nemesis itself failed at.
        """
        await self._tasks.stop()
        if self._tasks.failure is not None:
            raise SetupFailed(f"the nemesis failed: {self._tasks.failure!r}") from self._tasks.failure
        for fault in self._to_come:
            self._refused(fault, "the load was over before it had begun")
        self._to_come.clear()
        try:
            await faults.heal_all(self._runtime)
        except Exception as failure:
            why = failure if isinstance(failure, EnvironmentFailure) else repr(failure)
            raise SetupFailed(f"a fault could not be ended: {why}") from failure
        for fault in tuple(self._active):
            self._over(fault)
        await self._all_back()

    async def drop(self) -> None:
        """Undo what can be undone, and say nothing: the run is over."""
        await self._tasks.stop()
        await faults.heal_all(self._runtime)

    # ------------------------------------------------------------ inside

    async def _carry_out(self, fault: Fault, started: float, rng: Random) -> None:
        await asyncio.sleep(started + fault.at_s - asyncio.get_running_loop().time())
        # A fault takes its time (a busy engine, more than a second for a kill): faults start in the order of the schedule.
        async with self._turn:
            begun = await self._start(fault, rng)
        if begun is not None and fault.for_s:
            await asyncio.sleep(fault.for_s)
            with suppress(EnvironmentFailure):  # it goes on until `heal`, which tries again and says so
                await faults.end(self._runtime, begun)
                self._over(begun)

    async def _start(self, fault: Fault, rng: Random) -> Fault | None:
        """The fault that has begun; None if it was refused."""
        down = {node.name for node in self._runtime.nodes() if node.state == "down"}
        try:
            begun, words = await faults.start(self._runtime, fault, rng)
        except (EnvironmentFailure, UsageError) as error:
            self._never(fault, str(error))
            return None
        except Exception as error:  # noqa: BLE001  a defect of the fault: the report shall say that it was not injected
            self._never(fault, f"it raised {type(error).__name__}: {error}")
            return None
        self._to_come.remove(fault)
        self._started(begun, down, words)
        return begun

    def _started(self, begun: Fault, down: set[str], words: str) -> None:
        aimed = faults.aimed_at(self._runtime, begun)
        self._recorder.event(
            "fault-start",
            fault=begun.kind,
            target=_target(begun),
            settings=dict(begun.settings),
            said=words,
            aimed=aimed,
            down=[name for name in aimed if name in down],
        )
        self._active.append(begun)
        self.said.setdefault(begun.kind, []).append(words)

    def _over(self, fault: Fault) -> None:
        self._active.remove(fault)
        self._recorder.event("fault-end", fault=fault.kind, target=_target(fault))

    def _never(self, fault: Fault, why: str) -> None:
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
