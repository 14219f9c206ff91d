"""The life of a node as a child process."""

import asyncio
import os
import resource
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from harness.runtimes.deployment import process
from harness.runtimes.deployment.plan import NodeSpec


class ChildLife:
    """A child of this process."""

    url = ""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        self.identity = process.identify(child.pid)

    @classmethod
    async def begin(cls, member: NodeSpec, environment: Mapping[str, str]) -> "ChildLife":
        member.prepare()
        return cls(await _start(member, environment))

    @property
    def paused(self) -> bool:
        return self.identity is not None and process.paused(self.identity)

    @property
    def ended(self) -> bool:
        return self._child.returncode is not None

    def signal(self, number: signal.Signals) -> bool:
        return self.identity is not None and process.send(self.identity, number)

    def limit_files(self, most: int | None) -> None:
        if self.identity is None:
            return
        with suppress(ProcessLookupError):
            _, hard = resource.prlimit(self.identity.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(self.identity.pid, resource.RLIMIT_FSIZE, (hard if most is None else most, hard))

    async def over(self) -> None:
        await self._child.wait()


async def _start(member: NodeSpec, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """A child in a session of its own (Ctrl-C is the supervisor's alone), with nothing open but its log.

    A store that may write no more (`limit_files`) is to see an error as on a full disk, and not the signal SIGXFSZ, which
    Python ignores and its children do as well, unless it is restored.
    """
    with _output(member.log) as output:
        return await asyncio.create_subprocess_exec(
            *member.command,
            env=environment,
            cwd=member.log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            restore_signals=member.kind != "store",
        )


def _output(log: Path) -> IO[bytes]:
    """The log, or nothing where it cannot be opened: a node that runs unheard is better than none."""
    try:
        return log.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")
