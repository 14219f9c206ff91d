"""No node of a shop listens beyond loopback, and none outlives it, for each transport and each runtime."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from harness.runtimes.deployment import process
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.docker import engine_client
from protocols.service.links import TRANSPORTS
from tests.brokers import missing
from tests.footprint import exposed, family, reachable
from tests.runtimes import deployment, need_docker

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sockets are looked up in /proc")

BROKER = pytest.mark.broker
LOCAL = [pytest.param(name, id=name, marks=BROKER if kind.broker else ()) for name, kind in TRANSPORTS.items()]


def spec(transport: str, runtime: str = "local") -> Spec:
    return Spec(protocol="saga", transport=transport, runtime=runtime, breakable=True)  # type: ignore[arg-type]


def test_a_socket_on_every_interface_is_seen() -> None:
    for kind, host in (
        (socket.SOCK_STREAM, "0.0.0.0"),
        (socket.SOCK_DGRAM, "0.0.0.0"),
        (socket.SOCK_STREAM, "127.0.0.1"),
    ):
        with socket.socket(socket.AF_INET, kind) as one:
            one.bind((host, 0))
            if kind == socket.SOCK_STREAM:
                one.listen()
            found = [at for at in reachable(family("nobody")) if at.endswith(f":{one.getsockname()[1]}")]
            assert len(found) == 1
            assert exposed(found) == ([] if host == "127.0.0.1" else found)


@pytest.mark.parametrize("transport", LOCAL)
async def test_processes_listen_on_loopback_only_and_end(transport: str) -> None:
    missing(transport)
    async with deployment("local", spec(transport)) as shop:
        plan = shop.plan
        pids = family(plan.tag)
        assert {node.pid for node in shop.nodes()} <= pids
        sockets = reachable(pids)
        assert {f"tcp 127.0.0.1:{node.port}" for node in plan.nodes} <= sockets.keys()
        assert exposed(sockets) == [], sockets
    assert list(process.tagged(plan.tag)) == []
    assert not sockets.keys() & reachable(pids).keys()


@pytest.mark.docker
@pytest.mark.parametrize(
    "transport", [name if name == "http" else pytest.param(name, marks=pytest.mark.slow) for name in TRANSPORTS]
)
async def test_containers_are_published_on_loopback_only_and_end(transport: str) -> None:
    need_docker(TRANSPORTS[transport].broker)
    async with deployment("docker", spec(transport, "docker")) as shop:
        tag = shop.plan.tag
        hosts = {bound["HostIp"] for one in _containers(tag) for bound in _published(one)}
        assert hosts == {"127.0.0.1"}
        assert exposed(reachable(family(tag))) == []
    assert _containers(tag) == []


def _containers(tag: str) -> list[dict[str, object]]:
    with closing(engine_client.connect()) as client:
        return [one.attrs for one in client.containers.list(all=True, filters=engine_client.filters(deployment=tag))]


def _published(attributes: dict[str, object]) -> list[dict[str, str]]:
    ports = attributes["NetworkSettings"]["Ports"]  # type: ignore[index]
    return [bound for each in (ports or {}).values() for bound in each or ()]


async def test_the_pages_are_served_on_loopback_only(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "wdm", "serve", "--port", "0", "--runs-dir", str(tmp_path)]
    child = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert child.stdout is not None
        line = (await asyncio.wait_for(child.stdout.readline(), 20)).decode()
        assert re.search(r"http://127\.0\.0\.1:\d+", line), line
        sockets = reachable({child.pid})
        assert sockets
        assert exposed(sockets) == []
    finally:
        child.send_signal(signal.SIGINT)
        await child.wait()
