"""The terminal of a user: `wdm` as a process of its own, in a folder of its own, with a user folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.runtimes.base import Node
from harness.runtimes.deployment import process
from harness.runtimes.deployment.control import view
from harness.runtimes.deployment.process import Identity
from harness.runtimes.deployment.state import StateFolder

WITHIN_S = 20.0


class Terminal:
    """A terminal in `folder`; `close` ends the processes that it started in the foreground, and its deployments.

    `environment` has further variables; a command may take `timeout_s` seconds.
    """

    def __init__(self, folder: Path, *, timeout_s: float = 60, **environment: str) -> None:
        self.folder = folder
        self._timeout_s = timeout_s
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("WDM_")}
        user_folder = str(folder / "home")  # `down --all` must not meet a developer's shops
        self.environment = {**inherited, "XDG_STATE_HOME": user_folder, **environment}
        self._open: list[subprocess.Popen[str]] = []

    def wdm(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "wdm", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=self._timeout_s,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in the foreground of another terminal."""
        command = [sys.executable, "-m", "wdm", *arguments]
        started = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._open.append(started)
        return started

    def start_until(self, text: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in the foreground, and return when a line of its progress contains `text`."""
        started = self.start(*arguments)
        assert started.stderr is not None
        progress = []
        for line in started.stderr:
            progress.append(line)
            if text in line:
                return started
        pytest.fail(f"`wdm {arguments[0]}` ended with {started.wait()} before {text!r}: {''.join(progress)}")

    def up(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `wdm up` in the foreground, and return when the shop serves."""
        return self.start_until("the shop serves at", "up", "--port", "0", *arguments)

    def status(self, *arguments: str) -> dict[str, Any]:
        answer = self.wdm("status", "--json", *arguments)
        assert answer.returncode == 0, answer.stderr
        return dict(json.loads(answer.stdout))

    def nodes(self, state_dir: str = ".wdm") -> dict[str, Node]:
        """Return the nodes that `wdm status` reads, without a process for each read."""
        current = view(StateFolder(self.folder / state_dir))
        return {node.name: node for node in current.nodes} if current else {}

    def identities(self, state_dir: str = ".wdm") -> list[Identity]:
        """Return the processes of a deployment."""
        pids = [node.pid for node in self.nodes(state_dir).values() if node.pid]
        return [identity for pid in pids if (identity := process.identify(pid))]

    def deployments(self) -> list[StateFolder]:
        """Return every deployment that a command of this terminal started."""
        file = self.folder / "home/wdm/deployments"
        return [StateFolder(Path(line)) for line in file.read_text().splitlines()] if file.exists() else []

    def of_this_folder(self) -> list[Identity]:
        """Return the running nodes of all its deployments, recorded or not."""
        tags = [there.tag for folder in self.deployments() if (there := folder.read()) is not None]
        return [identity for tag in tags for identity in process.tagged(tag)]

    def close(self) -> None:
        for command in self._open:
            if command.poll() is None:
                command.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                command.wait(10)
            if command.stderr is not None:
                command.stderr.close()
        self.wdm("down", "--all")


def until(true: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
    """Poll until `true` returns a true value, and return the value."""
    deadline = time.monotonic() + within_s
    while not (value := true()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(0.05)
    return value


def watchdogs(parent: int) -> list[Identity]:
    """Return the watchdogs of the process `parent`: shells that end its nodes after it."""
    running = []
    for folder in process.PROC.glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if b"wdm-watchdog" in words and int(fields[1]) == parent:
                running.append(process.identify(int(folder.name)))
    return [identity for identity in running if identity is not None]
