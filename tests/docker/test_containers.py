"""Containers alone: cuts of networks, labels, leftovers and unusable environments."""

import asyncio
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from harness import faults
from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.docker import compose, engine_client, images, project, resources
from harness.runtimes.docker.deployment import DockerDeployment
from harness.workload.client import ShopClient
from tests.contract.acts import credit_of, item, order, stock_of, user
from tests.faults.acts import rests
from tests.runtimes import need_docker

pytestmark = pytest.mark.docker

SPEC = Spec(protocol="2pc", runtime="docker", respawn_after_s=0.2, time_limit_s=8.0, breakable=True)


@pytest.fixture(autouse=True)
def _engine() -> None:
    need_docker()


@pytest.fixture
def client() -> Iterator[Any]:
    with closing(engine_client.connect()) as one:
        yield one


def left(client: Any, begins: str) -> list[str]:
    """Return the names of all resources of the deployments with this name, in any state."""
    things = [
        *client.containers.list(all=True, filters=engine_client.filters(), ignore_removed=True),
        *client.networks.list(filters=engine_client.filters()),
        *client.volumes.list(filters=engine_client.filters()),
    ]
    return [thing.name for thing in things if thing.name.startswith(begins)]


async def test_a_cut_takes_the_container_off_its_network_and_gives_it_its_address_back() -> None:
    async with DockerDeployment(SPEC) as shop, ShopClient(shop.url, 20.0) as client:
        handle = shop.platform.containers["stock-store"].handle

        def addresses() -> dict[str, str]:
            handle.reload()
            return {name: one["IPAddress"] for name, one in handle.attrs["NetworkSettings"]["Networks"].items()}

        before = addresses()
        assert [name.rpartition("_")[2] for name in before] == ["stock-data"]
        name, buyer = await item(client, 9), await user(client, 9)
        placed = await order(client, buyer, (name, 1))
        fault, _ = await faults.start(shop, faults.fault("partition", ["stock-store"], for_s=9), Random(1))
        assert addresses() == {}
        waiting = asyncio.ensure_future(client.call("checkout", placed))
        done, _ = await asyncio.wait((waiting,), timeout=4.0)  # longer than a service believes in a silent connection
        assert not done
        await faults.end(shop, fault)
        ended = time.monotonic()
        assert addresses() == before
        assert (await waiting).status == 200
        await rests(shop)
        assert time.monotonic() - ended < 2.0
        assert (await stock_of(client, name), await credit_of(client, buyer)) == (8, 8)


async def test_a_pause_and_a_command_in_the_same_container_do_not_overlap() -> None:
    """The command was frozen at its start, the engine waited for it, and no unpause was possible (`make test-docker`)."""
    async with DockerDeployment(SPEC) as shop:
        store = shop.platform.containers["stock-store"]
        async with asyncio.timeout(60):
            for _ in range(25):
                look = asyncio.create_task(asyncio.to_thread(store.output_of, ["echo", "looked"]))
                await asyncio.sleep(0)
                shop.pause("stock-store")
                shop.resume("stock-store")
                await shop.settled()
                assert await look == b"looked\n"
            await shop.restart("stock-store")


async def test_a_command_in_a_paused_container_runs_after_the_pause() -> None:
    """On a busy machine the command came after the pause, and the engine starts nothing in a paused container (CI)."""
    async with DockerDeployment(SPEC) as shop:
        store = shop.platform.containers["stock-store"]
        shop.pause("stock-store")
        await shop.settled()
        look = asyncio.create_task(asyncio.to_thread(store.output_of, ["echo", "looked"]))
        limit = asyncio.create_task(shop.fill_disk("stock-store"))
        async with asyncio.timeout(30):
            while len(store._postponed) < 2:
                assert [task for task in (look, limit) if task.done()] == []
                await asyncio.sleep(0.01)
            shop.resume("stock-store")
            assert await look == b"looked\n"
            await limit
            await shop.settled()
            most = await asyncio.to_thread(store.output_of, ["grep", "Max file size", "/proc/1/limits"])
        assert most.split()[3].isdigit()
        await shop.free_disk("stock-store")


async def test_the_output_of_a_command_is_not_lost() -> None:
    """On a busy machine the engine reports a short command as successful without its output."""
    async with DockerDeployment(SPEC) as shop:
        store = shop.platform.containers["stock-store"]
        for number in range(60):
            assert await asyncio.to_thread(store.output_of, ["echo", str(number)]) == f"{number}\n".encode()
        with pytest.raises(EnvironmentFailure, match="no such thing"):
            await asyncio.to_thread(
                store.output_of, ["sh", "-c", "sleep 0.2; echo no such thing >&2; sleep 0.2; exit 3"]
            )


async def test_a_postponed_command_ends_with_its_container() -> None:
    async with DockerDeployment(SPEC) as shop:
        store = shop.platform.containers["stock-store"]
        shop.pause("stock-store")
        await shop.settled()
        look = asyncio.create_task(asyncio.to_thread(store.run, ["true"]))
        async with asyncio.timeout(30):
            while not store._postponed:
                await asyncio.sleep(0.01)
        shop.kill("stock-store", stay_down=True)
        await asyncio.wait((look,), timeout=30)
        assert look.done()
        look.exception()  # as of any look into a container that is gone
        await shop.settled()


async def test_nothing_is_left_of_a_run_and_nothing_else_is_touched(client: Any, tmp_path: Path) -> None:
    """Resources without our label stay, also those with a similar name from Compose."""
    begins = resources.project(tmp_path)
    stranger = client.networks.create(f"{begins}stranger", internal=True)
    try:
        async with DockerDeployment(SPEC, tmp_path) as shop:
            # Containers, networks, volumes; Compose 1 makes the volumes of the brokers as well.
            assert len(left(client, begins)) in (8 + 12 + 3, 8 + 12 + 6)
            shop.pause("order-1")
            shop.kill("stock-1", stay_down=True)
            await shop.settled()
        assert left(client, begins) == []
        resources.remove_all(begins, volumes=True)
        stranger.reload()
    finally:
        stranger.remove()


def test_compose_alone_brings_a_shop_up(client: Any, tmp_path: Path) -> None:
    """The command of the header of docker-compose.yml starts a shop, with two instances of a service."""
    variables = {"WDM_SECRET": "s3cret", "WDM_STORE_PASSWORD": "passw0rd", "WDM_PORT": "", "WDM_PROTOCOL": "2pc"}
    environment = {**os.environ, **images.variables(images.choose(client)), **variables}
    name = f"wdm-by-hand-{os.getpid()}"
    command = [*compose.find().command, "--file", str(project.compose_file()), "--project-name", name]

    def run(*arguments: str) -> str:
        return subprocess.run(
            [*command, *arguments],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        ).stdout

    try:
        run("up", "--detach", "--scale", "order=2")
        gateway = run("port", "gateway", "8000").strip()
        asyncio.run(_buy(f"http://{gateway}"))
        assert resources.remove_all(name) == []  # started by hand, it is no leftover of a user
        assert len(run("ps", "-q").split()) == 8
        # An instance takes up what a former life of its node left behind: no two may be one node.
        assert len(set(re.findall(r'"event": "serving", "node": "([^"]+)"', run("logs", "--no-color", "order")))) == 2
    finally:
        run("down", "--volumes", "--timeout", "1")


async def _buy(url: str) -> None:
    async with ShopClient(url, 10.0) as shop:
        async with asyncio.timeout(40):
            for operation, *arguments in (("create_user",), ("create_item", 1), ("create_order", "nobody")):
                answered = 0
                while answered < 6:  # in a row: by every instance
                    response = await shop.call(operation, *arguments)
                    answered = answered + 1 if response.outcome == "ok" else 0
                    await asyncio.sleep(0.1)
        name, buyer = await item(shop, 9), await user(shop, 9)
        for _ in range(4):  # whichever instance answers
            assert (await shop.call("checkout", await order(shop, buyer, (name, 1)))).status == 200
        assert (await stock_of(shop, name), await credit_of(shop, buyer)) == (5, 5)
