"""The containers of a Compose project that somebody else has started: broken, and put back as they were."""

import asyncio
import contextlib
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from harness import faults
from harness.errors import EnvironmentFailure
from harness.runtimes.docker import compose, engine_client, images, resources
from harness.runtimes.external.parse import nodes_from
from harness.runtimes.external.runtime import ExternalRuntime
from protocols.errors import UsageError
from tests.external.programs import started, wait_until
from tests.runtimes import need_docker

pytestmark = pytest.mark.docker

PROJECT = "wdmforeignshop"
FILE = """
version: "2.4"
services:
  order-service: &server
    image: {image}
    entrypoint: ["python3", "-m", "http.server", "8000", "--directory", "/usr/share"]
    stop_grace_period: 0s
    networks: {{ front: {{ aliases: [orders] }}, back: {{ ipv4_address: 10.217.93.7 }} }}
  order-db:
    <<: *server
    networks: [front]
  gateway:
    <<: *server
    restart: always
    ports: ["127.0.0.1::8000"]
    networks: [front]
  job:
    <<: *server
    entrypoint: ["true"]
    networks: [front]
networks:
  front: {{}}
  back: {{ ipam: {{ config: [{{ subnet: 10.217.93.0/24 }}] }} }}
"""


def run(file: Path, *arguments: str) -> None:
    subprocess.run([*compose.find().command, "-f", str(file), *arguments], check=True, capture_output=True, timeout=100)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    need_docker()
    path = tmp_path_factory.mktemp("foreign") / "Wdm Foreign Shop" / "docker-compose.yml"
    path.parent.mkdir()
    with closing(engine_client.connect()) as client:
        path.write_text(FILE.format(image=images.choose(client)["service"]))
    try:
        run(path, "up", "-d", "--no-build", "--scale", "order-db=2")
        with closing(engine_client.connect()) as client:  # a job is a node as long as it runs
            containers(client)["job-1"].wait(timeout=60)
        yield path
    finally:
        run(path, "down", "-v", "--timeout", "0")


@pytest.fixture
def client() -> Iterator[Any]:
    with closing(engine_client.connect()) as one:
        yield one


@asynccontextmanager
async def shop(file: Path) -> AsyncIterator[ExternalRuntime]:
    runtime = ExternalRuntime("", nodes_from((), (), (), (), (str(file),), file.parent))
    await runtime.up()
    try:
        yield runtime
    finally:
        await runtime.down()


def states(runtime: ExternalRuntime) -> dict[str, str]:
    return {node.name: node.state for node in runtime.nodes()}


def containers(client: Any) -> dict[str, Any]:
    found = client.containers.list(all=True, filters={"label": f"com.docker.compose.project={PROJECT}"})
    return {f"{one.labels[resources.SERVICE]}-{one.labels[resources.NUMBER]}": one for one in found}


async def inject(runtime: ExternalRuntime, kind: str, target: str, for_s: float = 0.0) -> faults.Fault:
    fault = faults.fault(kind, [target], for_s=for_s)
    assert faults.refuse(runtime, fault) is None
    begun, _ = await faults.start(runtime, fault, Random(1))
    return begun


async def until(runtime: ExternalRuntime, name: str, state: str) -> None:
    async with asyncio.timeout(15):
        while states(runtime)[name] != state:
            await asyncio.sleep(0.02)


async def test_the_nodes_are_the_containers_that_run(file: Path, client: Any) -> None:
    async with shop(file) as runtime:
        assert {node.name: (node.kind, node.service, node.state) for node in runtime.nodes()} == {
            "gateway": ("gateway", "gateway", "running"),
            "order-db-1": ("store", "order-db", "running"),
            "order-db-2": ("store", "order-db", "running"),
            "order-service": ("service", "order-service", "running"),
        }
        assert runtime.capabilities == {"signals"}
    assert containers(client)["job-1"].status == "exited"


@pytest.mark.parametrize("name", ["order-service", "gateway"])  # without a restart policy, and with one
async def test_a_crash_ends_a_container_which_is_started_again(file: Path, client: Any, name: str) -> None:
    async with shop(file) as runtime:
        before = containers(client)[f"{name}-1"].attrs["State"]["Pid"]
        begun = await inject(runtime, "crash", name, for_s=9)
        assert states(runtime)[name] == "down"
        await asyncio.sleep(2.0)
        assert containers(client)[f"{name}-1"].status == "exited"
        await faults.end(runtime, begun)
        await until(runtime, name, "running")
        await inject(runtime, "crash", name)
        assert states(runtime)[name] == "down"
        await until(runtime, name, "running")
        assert containers(client)[f"{name}-1"].attrs["State"]["Pid"] not in (0, before)


async def test_a_pause_of_a_service_freezes_all_of_its_containers(file: Path, client: Any) -> None:
    async with shop(file) as runtime:
        begun = await inject(runtime, "pause", "order-db-1", for_s=9)
        assert states(runtime)["order-db-1"] == "paused"
        assert containers(client)["order-db-1"].status == "paused"
        await inject(runtime, "crash", "order-db-1", for_s=9)
        assert states(runtime)["order-db-1"] == "down"
        await faults.end(runtime, begun)
        await faults.heal_all(runtime)
        assert set(states(runtime).values()) == {"running"}


def attachments(client: Any, name: str) -> dict[str, tuple[str, set[str]]]:
    one = containers(client)[name]
    networks = one.attrs["NetworkSettings"]["Networks"]
    return {network: (had["IPAddress"], set(had["Aliases"])) for network, had in networks.items()}


def answers(client: Any) -> bool:
    port = resources.published(containers(client)["gateway-1"], "8000/tcp")
    with contextlib.suppress(OSError):
        return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=2).status == 200)
    return False


@pytest.mark.parametrize("name", ["order-service", "gateway"])
async def test_a_container_gets_its_networks_names_and_port_back(file: Path, client: Any, name: str) -> None:
    async with shop(file) as runtime:
        before = attachments(client, f"{name}-1")
        runtime.disconnect(name)
        await runtime.settled()
        assert attachments(client, f"{name}-1") == {}
        assert states(runtime)[name] == "running"
        if name == "gateway":
            assert not answers(client)
        await runtime.heal()
        after = attachments(client, f"{name}-1")
        assert {network: aliases for network, (_, aliases) in after.items()} == {
            network: aliases for network, (_, aliases) in before.items()
        }
        own_subnet = f"{PROJECT}_back"
        assert after.get(own_subnet) == before.get(own_subnet)
        async with asyncio.timeout(10):
            while not await asyncio.to_thread(answers, client):
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("kind", ["pause", "crash"])
async def test_an_interruption_leaves_the_shop_as_it_was(file: Path, client: Any, kind: str) -> None:
    async def judge() -> None:
        async with shop(file) as runtime:
            await inject(runtime, kind, "order-service", for_s=99)
            runtime.disconnect("order-db-1")
            task.cancel()
            await asyncio.sleep(99)

    task = asyncio.ensure_future(judge())
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert task.cancelled()
    now = containers(client)
    assert now.pop("job-1").status == "exited"
    assert {one.status for one in now.values()} == {"running"}
    assert attachments(client, "order-db-1")


@pytest.mark.parametrize(("order", "broken"), [("pause", "paused"), ("kill", "exited")])
def test_a_killed_judge_leaves_no_container_broken(file: Path, client: Any, order: str, broken: str) -> None:
    judge = f"""
import asyncio, sys
from pathlib import Path
from harness.runtimes.external.parse import nodes_from
from harness.runtimes.external.runtime import ExternalRuntime
async def main():
    runtime = ExternalRuntime("", nodes_from([], [], [], [], [sys.argv[1]], Path()))
    runtime.{order}("order-service")
    await runtime.settled()
    await asyncio.Event().wait()
asyncio.run(main())
"""
    with started([sys.executable, "-c", judge, str(file)]):
        wait_until(lambda: containers(client)["order-service-1"].status == broken, 20.0)
    wait_until(lambda: containers(client)["order-service-1"].status == "running", 20.0)


async def test_the_state_of_a_container_that_ends_by_itself_is_seen(file: Path, client: Any) -> None:
    async with shop(file) as runtime:
        await asyncio.to_thread(containers(client)["order-db-2"].kill)
        await until(runtime, "order-db-2", "down")
        await runtime.heal()
        assert states(runtime)["order-db-2"] == "running"


def test_an_unknown_project_and_a_name_that_is_taken_are_refused(file: Path) -> None:
    with pytest.raises(EnvironmentFailure, match=f"no project 'nothing'; the projects are: .*{PROJECT}"):
        nodes_from((), (), (), (), ("nothing",), file.parent)
    with pytest.raises(UsageError, match="--compose: the node 'gateway' is named by another option already"):
        nodes_from((), (), (), ("gateway=true",), (PROJECT,), file.parent)


def test_a_project_of_which_nothing_runs_is_refused(file: Path) -> None:
    run(file, "stop", "--timeout", "0")
    try:
        with pytest.raises(EnvironmentFailure, match=f"no container of the Compose project '{PROJECT}' runs"):
            nodes_from((), (), (), (), (str(file),), file.parent)
    finally:
        run(file, "start")
