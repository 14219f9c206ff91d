"""`wdm` with containers, as a person runs it: whatever ends a command, nothing of it is left, and data is kept."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.runtimes.deployment import process
from harness.runtimes.docker import engine_client
from tests.cli.test_lifecycle import watchdogs
from tests.runtimes import need_docker

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def _engine() -> None:
    need_docker()


@pytest.fixture
def client() -> Iterator[Any]:
    with closing(engine_client.connect()) as one:
        yield one


class Shell:
    """`wdm` as a person runs it, with a user folder of its own, so that `down --all` meets nobody else's shop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("WDM_")}
        self.environment = {**kept, "XDG_STATE_HOME": str(folder / "home"), "TMPDIR": str(folder)}

    def wdm(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "wdm", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def chaos(self, until: str) -> "subprocess.Popen[str]":
        """A run that pauses a node for good, up to where it says this."""
        (self.folder / "pause.toml").write_text(PAUSE)
        command = [sys.executable, "-m", "wdm", "chaos", "pause.toml", "--runtime", "docker", "--seed", "1"]
        child = subprocess.Popen(command, cwd=self.folder, env=self.environment, stderr=subprocess.PIPE, text=True)
        assert child.stderr is not None
        said = []
        for line in child.stderr:
            said.append(line)
            if until in line:
                return child
        pytest.fail(f"the run ended with {child.wait()} before it said {until!r}: {''.join(said)}")

    def left(self, client: Any) -> list[str]:
        """What the engine has of this shell's."""
        wanted = {"label": [f"{engine_client.HOME}={self.folder}/home/wdm"]}
        things = [
            *client.containers.list(all=True, filters=wanted, ignore_removed=True),
            *client.networks.list(filters=wanted),
            *client.volumes.list(filters=wanted),
        ]
        return [thing.name for thing in things]

    def states(self, client: Any) -> list[str]:
        wanted = {"label": [f"{engine_client.HOME}={self.folder}/home/wdm"]}
        return [one.status for one in client.containers.list(all=True, filters=wanted, ignore_removed=True)]


PAUSE = """
summary = "The order service is paused for good"

[workload]
name = "checkout"
users = 5
items = 5

[[fault]]
kind = "pause"
target = "order"
at_s = 0.3
"""


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    one = Shell(tmp_path)
    yield one
    one.wdm("down", "--all", "--volumes")


def test_an_interrupt_leaves_nothing(shell: Shell, client: Any) -> None:
    with shell.chaos("pause order") as child:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
        assert child.returncode == 130
    assert shell.left(client) == []


def test_a_watchdog_removes_the_containers_of_a_killed_run(shell: Shell, client: Any) -> None:
    """One of them paused; its folder in the temporary directory goes as well."""
    with shell.chaos("pause order") as child:
        child.kill()
        child.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while shell.left(client) or list(shell.folder.glob("wdm-chaos-*")):
        assert time.monotonic() < deadline, shell.left(client)
        time.sleep(0.1)


def test_what_a_killed_run_and_its_watchdog_left_is_named_and_removed_by_down_all(shell: Shell, client: Any) -> None:
    with shell.chaos("pause order") as child:
        for watchdog in watchdogs(child.pid):
            process.send(watchdog, signal.SIGKILL)
        child.kill()
        child.communicate(timeout=60)
    assert "paused" in shell.states(client)
    named = f"7 containers, 1 of them paused, and 12 networks of deployment wdm-[0-9a-f]+-2pc, started by process {child.pid} of "
    for command in (("status",), ("down",), ("doctor", "--port", "0")):
        heard = shell.wdm(*command).stderr
        assert re.search(named + rf"\S+ for {shell.folder}/wdm-chaos-\w+; `wdm down --all` removes it", heard), heard
    for folder in shell.folder.glob("wdm-chaos-*"):
        shutil.rmtree(folder)  # as whoever tidies a temporary directory does; the labels say it all
    (shell.folder / "home/wdm/deployments").unlink()
    assert re.search(named, shell.wdm("status").stderr)
    answer = shell.wdm("down", "--all")
    assert (answer.returncode, "_order-data" in answer.stderr) == (0, True), answer.stderr
    assert shell.left(client) == []
    assert "left behind" not in shell.wdm("status").stderr


def test_data_is_kept_until_somebody_says_otherwise(shell: Shell, client: Any) -> None:
    up = shell.wdm("up", "--runtime", "docker", "--port", "0", "--detach")
    assert up.returncode == 0, up.stderr
    said = json.loads(shell.wdm("status", "--json").stdout)
    assert said["runtime"] == "docker"
    assert {node["state"] for node in said["nodes"]} == {"running"}
    assert shell.wdm("txn", "list").returncode == 0
    assert "Ready to accept connections" in shell.wdm("logs", "stock-store").stdout
    down = shell.wdm("down")
    assert (down.returncode, "`wdm down --volumes` removes its data" in down.stderr) == (0, True)
    kept = {name.rpartition("_")[2] for name in shell.left(client)}
    assert kept - {"streams-data", "rabbitmq-data", "kafka-data"} == {"order-data", "payment-data", "stock-data"}
    assert shell.wdm("down", "--volumes").returncode == 0
    assert shell.left(client) == []


def test_an_environment_that_is_not_what_it_should_be_is_one_line(shell: Shell, client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cases = [
            (("--port", str(port)), {}, f"port {port} is already in use"),
            (("--port", "0"), {"DOCKER_HOST": f"unix://{shell.folder}/none"}, "no Docker engine answers at unix://"),
            (("--port", "0"), {"DOCKER_HOST": "tcp://127.0.0.1:1"}, "no Docker engine answers at tcp://127.0.0.1:1"),
            (("--port", "0"), {"WDM_NGINX_IMAGE": "no-such-image"}, "the engine has no image no-such-image; make it"),
            (("--port", "0"), {"PATH": "/nonexistent"}, "neither `docker compose` nor `docker-compose` runs"),
        ]
        for flags, environment, words in cases:
            answer = shell.wdm("up", "-q", "--runtime", "docker", *flags, **environment)
            assert answer.returncode == 4, answer.stderr
            assert answer.stderr.startswith(f"error: {words}"), answer.stderr
            assert answer.stderr.count("\n") == 1
            assert shell.left(client) == []
