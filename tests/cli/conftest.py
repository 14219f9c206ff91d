"""`wdm` as a person runs it: a process of its own, in a folder of its own, with a user folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
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
    """A folder to stand in. What is started in the foreground is ended with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("WDM_")}
        self.environment["XDG_STATE_HOME"] = str(folder / "home")  # `down --all` must not meet a developer's shops
        self._open: list[subprocess.Popen[str]] = []

    def wdm(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "wdm", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """In the foreground of another terminal."""
        command = [sys.executable, "-m", "wdm", *arguments]
        started = subprocess.Popen(
            command, cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        self._open.append(started)
        return started

    def up(self, *arguments: str) -> subprocess.Popen[str]:
        """`wdm up` in the foreground, serving."""
        started = self.start("up", "--port", "0", *arguments)
        assert started.stderr is not None
        for line in started.stderr:
            if line.startswith("the shop serves at"):
                return started
        pytest.fail(f"`wdm up` ended with {started.wait()} before it served")

    def status(self, *arguments: str) -> dict[str, Any]:
        answer = self.wdm("status", "--json", *arguments)
        assert answer.returncode == 0, answer.stderr
        return dict(json.loads(answer.stdout))

    def nodes(self, state_dir: str = ".wdm") -> dict[str, Node]:
        """What `wdm status` reads, without the price of a process for each look."""
        found = view(StateFolder(self.folder / state_dir))
        return {node.name: node for node in found.nodes} if found else {}

    def identities(self, state_dir: str = ".wdm") -> list[Identity]:
        """Everything that runs for a deployment."""
        pids = [node.pid for node in self.nodes(state_dir).values() if node.pid]
        return [identity for pid in pids if (identity := process.identify(pid))]

    def deployments(self) -> list[StateFolder]:
        """Every deployment that a command of this terminal's has brought up."""
        file = self.folder / "home/wdm/deployments"
        return [StateFolder(Path(line)) for line in file.read_text().splitlines()] if file.exists() else []

    def of_this_folder(self) -> list[Identity]:
        """Every node that runs, of all its deployments, written down or not."""
        tags = [there.tag for folder in self.deployments() if (there := folder.read()) is not None]
        return [identity for tag in tags for identity in process.tagged(tag)]

    def close(self) -> None:
        for one in self._open:
            if one.poll() is None:
                one.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                one.wait(10)
            if one.stderr is not None:
                one.stderr.close()
        self.wdm("down", "--all")


def until(true: Callable[[], Any], within_s: float = WITHIN_S) -> Any:
    """Wait for something to become true, by looking."""
    deadline = time.monotonic() + within_s
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {within_s:g} s"
        time.sleep(0.05)
    return found


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    one = Terminal(tmp_path)
    yield one
    one.close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    """One detached deployment for all tests of a module that leave it as it was."""
    one = Terminal(tmp_path_factory.mktemp("shop"))
    answer = one.wdm("up", "--detach", "--port", "0", "--workers", "2", "--respawn-after-s", "0.2")
    assert answer.returncode == 0, answer.stderr
    yield one
    one.close()
