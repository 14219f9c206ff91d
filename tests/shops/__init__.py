"""Foreign shops: the same public contract in other styles than ours, correct unless faults are switched on.

`running` starts one of them. `faults.py` has the faults; each shop can also be started by hand, as its first lines say.
"""

import asyncio
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.shops.faults import FAULTS, SUPPORTED

__all__ = ["FAULTS", "SUPPORTED", "RunningShop", "running"]

ROOT = Path(__file__).parents[2]
SERVICES = ("orders", "stock", "payment")
PROGRAMS = {
    "flask": [sys.executable, "-m", "tests.shops.flask_shop"],
    "asyncio": [sys.executable, "-m", "tests.shops.asyncio_shop"],
    "node": ["node", str(Path(__file__).parent / "node_shop.js")],
}
"""The command of each shop, without its options."""

INTERPRETERS = {"node": "node"}
"""The programs outside the test environment that shops need."""

START_WITHIN_S = 20.0


class RunningShop:
    """A started shop.

    `urls` has the base URL of each service, without the prefix, and `url` the one of all, or `None` in a shop of several ports.
    `pids` has the process of each node: it leads a process group of its own.
    """

    def __init__(self, name: str, data: Path, faults: Iterable[str]) -> None:
        self.data = data
        self.pids: dict[str, int] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        # The nodes import this module too, and need no harness.
        from harness.runtimes.deployment.ports import Ports

        # A block of its own, as a deployment has: a killed node of another test must find its port free when it comes back.
        self.ports = Ports()
        self._commands = _commands(name, data, ",".join(faults), self.ports.take)
        ports = {node: int(command[command.index("--port") + 1]) for node, command in self._commands.items()}
        self.urls = {service: f"http://127.0.0.1:{ports.get(service, ports.get('shop'))}" for service in SERVICES}
        self.url = self.urls["orders"] if "shop" in ports else None

    @property
    def nodes(self) -> list[str]:
        return list(self._commands)

    def start_command(self, node: str) -> list[str]:
        """Return the command that starts a node again, on its port and its data, from any folder."""
        return self._commands[node]

    def start_line(self, node: str) -> str:
        """Return the start command as a line for a shell."""
        return shlex.join(self._commands[node])

    async def start(self, node: str) -> None:
        """Start a node, and return when it listens."""
        process = await asyncio.create_subprocess_exec(
            *self._commands[node],
            cwd=self.data,
            stdout=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        self._processes[node] = process
        self.pids[node] = process.pid
        assert process.stdout is not None
        async with asyncio.timeout(START_WITHIN_S):
            line = await process.stdout.readline()
        assert line.startswith(b"listening on "), f"{self.start_line(node)} wrote {line!r}"

    async def kill(self, node: str, number: int = signal.SIGKILL) -> int:
        """End a node with a signal, and return its exit code."""
        process = self._processes[node]
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
        code = await process.wait()
        del self._processes[node]
        process._transport.close()  # type: ignore[attr-defined]  # closes its end of the pipe now, not at the next collection
        return code

    async def end(self, node: str) -> int:
        """End a node with SIGTERM, and return its exit code. Raises `TimeoutError` if it does not end."""
        async with asyncio.timeout(START_WITHIN_S):
            return await self.kill(node, signal.SIGTERM)

    async def restart(self, *nodes: str) -> None:
        """Kill nodes (all without a name) with SIGKILL, and start them again."""
        for node in nodes or self.nodes:
            await self.kill(node)
        await asyncio.gather(*(self.start(node) for node in nodes or self.nodes))


def _commands(name: str, data: Path, faults: str, take_port: Callable[[], int]) -> dict[str, list[str]]:
    """Return the command of each node of a shop. `env` lets it start from any folder."""
    start = ["env", f"PYTHONPATH={ROOT}", *PROGRAMS[name]]
    nodes = SERVICES if name == "asyncio" else ("shop",)
    ports = {node: take_port() for node in nodes}
    rest = ["--data", str(data), "--faults", faults]
    if name != "asyncio":
        return {"shop": [*start, "--port", str(ports["shop"]), *rest]}
    peers = [word for peer in ("stock", "payment") for word in (f"--{peer}-url", f"http://127.0.0.1:{ports[peer]}")]
    return {role: [*start, "--role", role, "--port", str(port), *rest, *peers] for role, port in ports.items()}


@asynccontextmanager
async def running(name: str, data: Path, faults: Iterable[str] = ()) -> AsyncIterator[RunningShop]:
    """Start a shop (`flask`, `asyncio`, `node`) with its state in the folder `data`, and end all its processes at the end."""
    shop = RunningShop(name, data, faults)
    try:
        await asyncio.gather(*(shop.start(node) for node in shop.nodes))
        yield shop
    finally:
        for node in list(shop._processes):
            await shop.kill(node)
        for pid in _nodes_on(data):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shop.ports.close()


def _nodes_on(data: Path) -> list[int]:
    """Return the processes that somebody else has started with a start command of the shop whose state is in this folder."""
    words = f"\0--data\0{data}\0".encode()
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if words in file.read_bytes():
                found.append(int(file.parent.name))
    return found
