"""Commands with containers: no end of a command leaves a resource behind, and data is kept."""

import asyncio
import json
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.runtimes.deployment import process
from harness.runtimes.docker import engine_client
from harness.workload.client import ShopClient
from tests.contract.acts import item, order, user
from tests.runtimes import need_docker
from tests.terminal import Terminal, watchdogs

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def _engine() -> None:
    need_docker()


@pytest.fixture
def client() -> Iterator[Any]:
    with closing(engine_client.connect()) as client:
        yield client


class DockerTerminal(Terminal):
    """A terminal whose temporary files are in its folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, timeout_s=100, TMPDIR=str(folder))

    def chaos(self) -> "subprocess.Popen[str]":
        """Start a run that pauses a node for good, and return when the node is paused."""
        (self.folder / "pause.toml").write_text(PAUSE)
        return self.start_until("pause order", "chaos", "pause.toml", "--runtime", "docker", "--seed", "1")

    def left(self, client: Any) -> list[str]:
        """Return the names of the containers, networks and volumes of this terminal."""
        resources = [
            *client.containers.list(all=True, filters=self._filters, ignore_removed=True),
            *client.networks.list(filters=self._filters),
            *client.volumes.list(filters=self._filters),
        ]
        return [resource.name for resource in resources]

    def states(self, client: Any) -> list[str]:
        containers = client.containers.list(all=True, filters=self._filters, ignore_removed=True)
        return [container.status for container in containers]

    @property
    def _filters(self) -> dict[str, list[str]]:
        return {"label": [f"{engine_client.HOME}={self.folder}/home/wdm"]}


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
def terminal(tmp_path: Path) -> Iterator[DockerTerminal]:
    terminal = DockerTerminal(tmp_path)
    yield terminal
    terminal.wdm("down", "--all", "--volumes")
    terminal.close()


def test_an_interrupt_leaves_nothing(terminal: DockerTerminal, client: Any) -> None:
    with terminal.chaos() as child:
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
        assert child.returncode == 130
    assert terminal.left(client) == []


def test_a_watchdog_removes_the_containers_of_a_killed_run(terminal: DockerTerminal, client: Any) -> None:
    """Also a paused container and the folder in the temporary directory are removed."""
    with terminal.chaos() as child:
        child.kill()
        child.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while terminal.left(client) or list(terminal.folder.glob("wdm-chaos-*")):
        assert time.monotonic() < deadline, terminal.left(client)
        time.sleep(0.1)


def test_leftovers_of_a_killed_run_and_watchdog_are_named_and_removed_by_down_all(
    terminal: DockerTerminal, client: Any
) -> None:
    with terminal.chaos() as child:
        for watchdog in watchdogs(child.pid):
            process.send(watchdog, signal.SIGKILL)
        child.kill()
        child.communicate(timeout=60)
    assert "paused" in terminal.states(client)
    named = f"7 containers, 1 of them paused, and 12 networks of deployment wdm-[0-9a-f]+-2pc, started by process {child.pid} of "
    for command in (("status",), ("down",), ("doctor", "--port", "0")):
        errors = terminal.wdm(*command).stderr
        assert re.search(named + rf"\S+ for {terminal.folder}/wdm-chaos-\w+; `wdm down --all` removes it", errors), (
            errors
        )
    for folder in terminal.folder.glob("wdm-chaos-*"):
        shutil.rmtree(folder)  # as a clean-up of the temporary directory does; the labels have everything
    (terminal.folder / "home/wdm/deployments").unlink()
    assert re.search(named, terminal.wdm("status").stderr)
    answer = terminal.wdm("down", "--all")
    assert (answer.returncode, "_order-data" in answer.stderr) == (0, True), answer.stderr
    assert terminal.left(client) == []
    assert "left behind" not in terminal.wdm("status").stderr


def test_data_is_kept_until_down_volumes(terminal: DockerTerminal, client: Any) -> None:
    up = terminal.wdm("up", "--runtime", "docker", "--port", "0", "--detach")
    assert up.returncode == 0, up.stderr
    status = json.loads(terminal.wdm("status", "--json").stdout)
    assert status["runtime"] == "docker"
    assert {node["state"] for node in status["nodes"]} == {"running"}
    assert terminal.wdm("txn", "list").returncode == 0
    assert "Ready to accept connections" in terminal.wdm("logs", "stock-store").stdout
    down = terminal.wdm("down")
    assert (down.returncode, "`wdm down --volumes` removes its data" in down.stderr) == (0, True)
    kept = {name.rpartition("_")[2] for name in terminal.left(client)}
    assert kept - {"streams-data", "rabbitmq-data", "kafka-data"} == {"order-data", "payment-data", "stock-data"}
    assert terminal.wdm("down", "--volumes").returncode == 0
    assert terminal.left(client) == []


async def test_rabbitmq_serves_again_with_the_data_of_before(terminal: DockerTerminal) -> None:
    """It keeps the password of its user with its data, and each deployment has another one."""
    need_docker("rabbitmq")
    for _ in range(2):
        flags = ("--protocol", "saga", "--transport", "rabbitmq", "--port", "0", "--detach")
        up = await asyncio.to_thread(terminal.wdm, "up", "--runtime", "docker", *flags)
        assert up.returncode == 0, up.stderr
        async with ShopClient((await asyncio.to_thread(terminal.status))["gateway"]) as shop:
            good, buyer = await item(shop, 5), await user(shop, 5)
            placed = await order(shop, buyer, (good, 1))
            assert (await shop.call("checkout", placed)).status == 200
        assert (await asyncio.to_thread(terminal.wdm, "down")).returncode == 0
    assert (await asyncio.to_thread(terminal.wdm, "down", "--volumes")).returncode == 0


def test_an_unusable_environment_is_one_line_of_error(terminal: DockerTerminal, client: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cases = [
            (("--port", str(port)), {}, f"port {port} is already in use"),
            (("--port", "0"), {"DOCKER_HOST": f"unix://{terminal.folder}/none"}, "no Docker engine answers at unix://"),
            (("--port", "0"), {"DOCKER_HOST": "tcp://127.0.0.1:1"}, "no Docker engine answers at tcp://127.0.0.1:1"),
            (("--port", "0"), {"WDM_NGINX_IMAGE": "no-such-image"}, "the engine has no image no-such-image; make it"),
            (("--port", "0"), {"PATH": "/nonexistent"}, "neither `docker compose` nor `docker-compose` runs"),
        ]
        for flags, environment, words in cases:
            answer = terminal.wdm("up", "-q", "--runtime", "docker", *flags, **environment)
            assert answer.returncode == 4, answer.stderr
            assert answer.stderr.startswith(f"error: {words}"), answer.stderr
            assert answer.stderr.count("\n") == 1
            assert terminal.left(client) == []
