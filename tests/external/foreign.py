"""A foreign shop of processes as a runtime, and what tests do with it."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from harness import faults
from harness.runtimes.base import Breakable
from harness.runtimes.external.parse import nodes_from
from harness.runtimes.external.runtime import ExternalRuntime


@asynccontextmanager
async def shop(
    logs: Path,
    *,
    pids: tuple[str, ...] = (),
    pidfiles: tuple[str, ...] = (),
    start_cmds: tuple[str, ...] = (),
    kill_cmds: tuple[str, ...] = (),
) -> AsyncIterator[Breakable]:
    runtime = ExternalRuntime("http://127.0.0.1:1", nodes_from(pids, pidfiles, start_cmds, kill_cmds, (), logs))
    await runtime.up()
    try:
        yield runtime
    finally:
        await runtime.down()


def states(runtime: Breakable) -> dict[str, str]:
    return {node.name: node.state for node in runtime.nodes()}


async def until(true: object, within_s: float = 10.0) -> None:
    assert callable(true)
    async with asyncio.timeout(within_s):
        while not true():
            await asyncio.sleep(0.01)


async def inject(runtime: Breakable, kind: str, *targets: str, for_s: float = 0.0) -> tuple[faults.Fault, str]:
    fault = faults.fault(kind, targets, for_s=for_s)
    assert faults.refuse(runtime, fault) is None
    return await faults.start(runtime, fault, Random(1))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
