"""The start and the end of a shop of a batch: a command in process groups of its own, or a Compose project of its own.

Only what was started here is ended here: the groups of the commands, and the project with its volumes.
"""

import asyncio
import os
import secrets
import shlex
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from harness.errors import EnvironmentFailure
from harness.judge.batch_file import BatchEntry
from harness.judge.urls import read_urls
from harness.runtimes.deployment.process import Identity, identify
from harness.runtimes.external.command import ShellCommand
from protocols.errors import UsageError

POLL_S = 0.2
CONNECT_S = 2.0
FREE_WITHIN_S = 5.0
"""The time in which the ports of the shop before become free."""

TERM_S, KILL_S = 10.0, 5.0
"""The time for an end after SIGTERM, and after SIGKILL."""

DOWN_S = 120.0


class StartedShop:
    """A shop that a batch starts and ends. `begun` has the processes that its commands have started."""

    def __init__(self, entry: BatchEntry, logs: Path) -> None:
        self._entry = entry
        self._log = logs / "shop.log"
        self.begun: list[Identity] = []
        self.command = ShellCommand("start", entry.start, self._log, self.begun, entry.folder) if entry.start else None
        self._compose: Sequence[str] = ()
        self.project = entry.project

    @property
    def pid(self) -> int | None:
        """The process of the start command."""
        return self.begun[0].pid if self.begun else None

    async def start(self, urls: Mapping[str, str | None]) -> None:
        """Start the shop, if the batch is to. Raises `EnvironmentFailure` where something else uses its addresses."""
        if self.command is None and self._entry.compose is None:
            return
        for url in filter(None, dict.fromkeys(urls.values())):
            await self._poll(partial(in_use, url), FREE_WITHIN_S)
        if self.command is not None:
            self.command.begin()
        elif self._entry.compose is not None:
            await self._compose_up(self._entry.compose)

    async def await_answer(self, urls: Mapping[str, str]) -> None:
        """Return once each address responds. Raises `EnvironmentFailure` after the time limit, or if the command has failed."""
        for url in dict.fromkeys(urls.values()):
            try:
                await self._poll(partial(silent, url), self._entry.ready_s)
            except EnvironmentFailure:
                # A gateway that goes on with 502 is a shop to be judged; the first requests name the answer.
                if await silent(url, starting=()):
                    raise

    async def await_urls(self, file: Path) -> Mapping[str, str | None]:
        """Return the addresses in a file, which the start may write. Raises as `await_answer`."""
        read: dict[str, str | None] = {}

        async def unreadable() -> str:
            try:
                read.update(await asyncio.to_thread(read_urls, file))
            except UsageError as error:
                return str(error)
            return ""

        await self._poll(unreadable, self._entry.ready_s if self.command else 0.0)
        return read

    def check(self) -> None:
        """Raise `EnvironmentFailure` if the start command has failed; one that ended with success may have made daemons."""
        if self.command is not None and not self.command.runs():
            self.command.check()

    async def end(self, urls: Mapping[str, str | None]) -> str:
        """End everything that was started here. Return a line about an address that still is in use, else nothing."""
        failures: list[str] = []
        if self._entry.stop and self.begun:
            try:
                stop = ShellCommand("stop", self._entry.stop, self._log, self.begun, self._entry.folder)
                await asyncio.to_thread(stop.run)
            except EnvironmentFailure as failure:
                failures.append(str(failure))
        await end_groups(self.begun)
        if self._compose:
            failures += await self._compose_down()
        if self.command is not None or self._compose:
            for url in filter(None, dict.fromkeys(urls.values())):
                if text := await in_use(url):
                    failures.append(f"{text} after the end: a process has left the process group of its start")
        return "; ".join(failures)

    # ------------------------------------------------------------ inside

    async def _poll(self, hindrance: Callable[[], Awaitable[str]], within_s: float) -> None:
        """Return once `hindrance` returns nothing. Raises `EnvironmentFailure` with its last text after the time limit."""
        until_s = asyncio.get_running_loop().time() + within_s
        while text := await hindrance():
            self.check()
            if asyncio.get_running_loop().time() > until_s:
                raise EnvironmentFailure(f"{text} for {within_s:g} s{self._hint()}")
            await asyncio.sleep(POLL_S)

    async def _compose_up(self, file: Path) -> None:
        from harness.runtimes.docker import compose  # noqa: PLC0415 - the library of the engine, which only containers need

        tool = await asyncio.to_thread(compose.find)
        self.project = f"wdm-judge-{self._entry.slug.lower().replace('.', '-')}-{secrets.token_hex(2)}"
        self._compose = (*tool.command, "--project-name", self.project, "--file", str(file))
        await self._run([*self._compose, "up", "--detach"], self._entry.ready_s)

    async def _compose_down(self) -> list[str]:
        """Remove the containers, networks, volumes and built images of the project; return one line for a failure."""
        try:
            await self._run(
                [*self._compose, "down", "--volumes", "--remove-orphans", "--rmi", "local", "--timeout", "5"], DOWN_S
            )
        except EnvironmentFailure as failure:
            return [str(failure)]
        return []

    async def _run(self, command: Sequence[str], within_s: float) -> None:
        """Run Compose to its end; a cancelled one is ended first. Raises `EnvironmentFailure` with its last line."""
        try:
            with self._log.open("ab") as log:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    cwd=self._entry.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise EnvironmentFailure(f"`{shlex.join(command)}` cannot be started: {error}") from error
        try:
            async with asyncio.timeout(within_s):
                code = await process.wait()
        except TimeoutError:
            raise EnvironmentFailure(
                f"`{shlex.join(command)}` did not end within {within_s:g} s{self._hint()}"
            ) from None
        finally:
            await _end(process)
        if code:
            raise EnvironmentFailure(f"`{shlex.join(command)}`: exit code {code}{self._hint()}")

    def _hint(self) -> str:
        """Return the last line of the log, after a colon."""
        with suppress(OSError):
            lines = [line.strip() for line in self._log.read_text("utf-8", "replace").splitlines() if line.strip()]
            return f": {lines[-1]}" if lines else ""
        return ""


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command that leads its process group: with SIGTERM, and after `TERM_S` with SIGKILL."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), TERM_S)


async def in_use(url: str) -> str:
    """Return a text if a process accepts connections at an address, else nothing."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError):
        return ""
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return f"{url} is in use by another process"


STARTING = (502, 503, 504)
"""The answers of a gateway whose services do not serve yet."""


async def silent(url: str, starting: Sequence[int] = STARTING) -> str:
    """Return a text if an address does not respond to a request, or with a status of `starting`; else nothing."""
    import aiohttp  # noqa: PLC0415 - slow to import

    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CONNECT_S)) as session,
            session.get(url) as answer,
        ):
            return f"{url} answers {answer.status}" if answer.status in starting else ""
    except aiohttp.ClientResponseError:
        return ""
    except (aiohttp.ClientError, OSError, TimeoutError):
        return f"no answer from {url}"


async def end_groups(leaders: Iterable[Identity]) -> None:
    """End the process groups of these leaders with SIGTERM, and after `TERM_S` with SIGKILL."""
    now = asyncio.get_running_loop().time
    left = [leader for leader in leaders if _signal(leader, signal.SIGTERM)]
    for leader in left:
        _signal(leader, signal.SIGCONT)  # a paused process handles SIGTERM only after SIGCONT
    for number, within_s in ((None, TERM_S), (signal.SIGKILL, KILL_S)):
        for leader in left:
            _signal(leader, number)
        until_s = now() + within_s
        while (left := [leader for leader in left if _signal(leader, None)]) and now() < until_s:
            await asyncio.sleep(POLL_S / 4)


def _signal(leader: Identity, number: signal.Signals | None) -> bool:
    """Signal a group, or only look with None. Return whether it has members, and none of them is a foreign leader."""
    with suppress(ChildProcessError):
        os.waitpid(leader.pid, os.WNOHANG)  # a zombie is a member
    present = identify(leader.pid)
    if present is not None and present != leader:
        return False  # the pid was given to another process
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader.pid, number or 0)
        return True
    return False
