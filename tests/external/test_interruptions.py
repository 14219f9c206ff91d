"""An examination that is interrupted leaves the foreign processes as they were."""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.external.foreign import inject, shop, until
from tests.external.programs import (
    MASTER,
    SLEEPER,
    SUPERVISOR,
    children,
    pid_in,
    program,
    runs,
    started,
    state,
    wait_until,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes by pid need /proc")


@pytest.mark.parametrize("kind", ["pause", "crash"])
async def test_an_interruption_leaves_nothing_paused_or_down(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "pid"
    _, _, node = program(SLEEPER)
    with started(program(SUPERVISOR, NODE=node, FILE=str(file))):
        pid_in(file)

        async def judge() -> None:
            async with shop(tmp_path, pidfiles=(f"order={file}",)) as runtime:
                await inject(runtime, kind, "order", for_s=99)
                task.cancel()
                await asyncio.sleep(99)

        task = asyncio.ensure_future(judge())
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert state(pid_in(file)) in ("S", "R")


async def test_a_heal_that_is_interrupted_is_carried_out_to_its_end(tmp_path: Path) -> None:
    with started(program(SLEEPER)) as pid:
        async with shop(tmp_path, pids=(f"order={pid}",)) as runtime:
            await inject(runtime, "pause", "order", for_s=99)
            task = asyncio.ensure_future(runtime.heal())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert state(pid) in ("S", "R")


JUDGE = """
import asyncio, signal
from pathlib import Path
from harness.runtimes.external.parse import nodes_from
from harness.runtimes.external.runtime import ExternalRuntime
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background commands ignore it
async def main():
    runtime = ExternalRuntime("", nodes_from(["order=" + PID], [], [], [], [], Path(LOGS)))
    await runtime.up()
    try:
        runtime.pause("order")
        await asyncio.sleep(99)
    finally:
        await runtime.down()
asyncio.run(main())
"""


@pytest.mark.parametrize(
    "signals", [(signal.SIGKILL,), (signal.SIGINT,), (signal.SIGINT, signal.SIGINT)], ids=["kill", "ctrl-c", "twice"]
)
async def test_a_judge_that_is_ended_by_a_signal_leaves_nothing_paused(
    tmp_path: Path, signals: tuple[signal.Signals, ...]
) -> None:
    with started(program(MASTER, FILE=str(tmp_path / "own"))) as master:
        wait_until(lambda: len(children(master)) == 2)
        family = [master, *children(master)]
        with started(program(JUDGE, PID=str(master), LOGS=str(tmp_path))) as judge:
            await until(lambda: {state(pid) for pid in family} == {"T"}, 20.0)
            for number in signals:
                os.kill(judge, number)
            await until(lambda: not {state(pid) for pid in family} - {"S", "R"}, 20.0)
            await until(lambda: not runs(judge), 20.0)
