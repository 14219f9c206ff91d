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
    """One life of a node as a child of this process. A `ProcessHandle`."""

    url = ""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child = child
        self.identity = process.identify(child.pid)

    @classmethod
    async def begin(cls, node_spec: NodeSpec, environment: Mapping[str, str]) -> "ChildLife":
        """Start the node's process. Raises `OSError`."""
        node_spec.prepare()
        return cls(await _start(node_spec, environment))

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


async def _start(node_spec: NodeSpec, environment: Mapping[str, str]) -> asyncio.subprocess.Process:
    """Start a child in a session of its own (Ctrl-C is for the supervisor alone); its files are its log and `descriptors`.

    A store at its limit (`limit_files`) has to get an error, as on a full disk, and not the signal SIGXFSZ, which would kill
    it: Python ignores that signal, and so does a child for which it is not restored.
    """
    with _output(node_spec.log) as output:
        return await asyncio.create_subprocess_exec(
            *node_spec.command,
            env=environment,
            cwd=node_spec.log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=node_spec.descriptors,
            restore_signals=node_spec.kind != "store",
        )


def _output(log: Path) -> IO[bytes]:
    """Open the log, or `/dev/null` where that fails: a node without a log is better than none."""
    try:
        return log.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")
