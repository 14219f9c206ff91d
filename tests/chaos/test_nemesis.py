"""The nemesis: in which order it carries out a schedule."""

import asyncio
from typing import Any

from harness import faults
from harness.run.nemesis import Nemesis
from tests.chaos.fakes import FakeShop, Model

SECOND_AT_S = 0.05


class SlowShop(FakeShop):
    """Its first kill has its effect only after the second fault of the schedule is due."""

    def __init__(self) -> None:
        super().__init__(Model().answer)
        self.looks = 0

    async def settled(self) -> None:
        self.looks += 1
        if self.looks == 1:
            await asyncio.sleep(4 * SECOND_AT_S)


class FileRecorder:
    def __init__(self) -> None:
        self.targets: list[str] = []

    def event(self, kind: str, **data: Any) -> None:
        if kind == "fault-start":
            self.targets.append(data["target"])


async def test_faults_start_in_the_order_of_the_schedule_however_long_a_kill_takes() -> None:
    """Found in containers on a busy machine: a kill took longer than the next fault was away, and the history said they had
    come the other way round."""
    shop, recorder = SlowShop(), FileRecorder()
    await shop.up()
    try:
        nemesis = Nemesis(shop, recorder, seed=1)  # type: ignore[arg-type]
        nemesis.begin([faults.fault("crash", ["order"]), faults.fault("crash", ["stock"], at_s=SECOND_AT_S)])
        async with asyncio.timeout(20):
            while len(recorder.targets) < 2:
                await asyncio.sleep(0.01)
        await nemesis.heal()
    finally:
        await shop.down()
    assert recorder.targets == ["order", "stock"]
