"""The rights of each container: no capability, no new privilege, a read-only root, a bound on processes."""

import asyncio
import os
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.docker import compose, engine_client, images, project
from harness.runtimes.docker.deployment import DockerDeployment
from harness.workload.client import ShopClient
from tests.contract.acts import credit_of, item, order, stock_of, user
from tests.runtimes import need_docker

pytestmark = pytest.mark.docker

WRITES_ITS_ROOT = {"broker": "kafka"}
"""The one container whose image writes beside its program, and the transport that has it."""
BROKERED = [pytest.param(kind, marks=pytest.mark.slow) for kind in ("streams", "rabbitmq", "kafka")]


def loose(container: Any) -> dict[str, Any]:
    """Return the rights of this container that it should not have."""
    granted = container.attrs["HostConfig"]
    good = {
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "Privileged": False,
        "ReadonlyRootfs": True,
        "PidMode": "",
    }
    excess = {name: granted[name] for name, value in good.items() if granted[name] != value}
    if not 0 < (granted["PidsLimit"] or 0) <= 512:
        excess["PidsLimit"] = granted["PidsLimit"]
    if not any(option.startswith("no-new-privileges") for option in granted["SecurityOpt"] or []):
        excess["SecurityOpt"] = granted["SecurityOpt"]
    if not granted["Memory"] or not granted["NanoCpus"]:
        excess["limits"] = (granted["Memory"], granted["NanoCpus"])
    user_of = container.attrs["Config"]["User"].partition(":")[0]
    if user_of in ("", "0", "root"):
        excess["User"] = user_of
    return excess


def effective(container: Any) -> str:
    """Return the present and possible capabilities of its first process, from the kernel."""
    # Another user's process table is no secret: the engine gives it.
    pid = container.attrs["State"]["Pid"]
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return " ".join(line for line in lines if line.startswith(("CapEff", "CapPrm", "CapBnd")))


@pytest.mark.parametrize("transport", ["http", *BROKERED])
async def test_no_container_has_more_than_it_needs_and_the_shop_works(transport: str) -> None:
    need_docker({"rabbitmq": "rabbitmq", "kafka": "kafka"}.get(transport, ""))
    spec = Spec(
        protocol="2pc", runtime="docker", transport=transport, respawn_after_s=0.2, time_limit_s=15.0, breakable=True
    )
    async with DockerDeployment(spec) as shop, ShopClient(shop.url, 30.0) as client:
        there = shop.platform.containers
        helper = shop.platform._helper
        assert helper is not None
        for name, container in {**there, "links": helper}.items():
            container.handle.reload()
            excess = loose(container.handle)
            if WRITES_ITS_ROOT.get(name) == transport:
                assert excess.pop("ReadonlyRootfs") is False
            assert excess == {}, name
            if os.getuid() == 0:
                assert set(effective(container.handle).split()[1::2]) == {"0" * 16}, name
        thing, buyer = await item(client, 9), await user(client, 9)
        for node in ("stock-store", "order-1", "payment-1", *(["broker"] if transport != "http" else [])):
            placed = await order(client, buyer, (thing, 1))
            shop.kill(node)
            await shop.settled()
            await shop.serving(node, 40.0)
            async with asyncio.timeout(60):
                while (await client.call("checkout", placed)).status != 200:
                    await asyncio.sleep(0.1)
        bought = 9 - await stock_of(client, thing)
        assert bought == 9 - await credit_of(client, buyer) == (3 if transport == "http" else 4)


async def test_a_store_rewrites_its_log() -> None:
    """A rewrite needs a second file, a child process and a rename, all with a read-only root."""
    need_docker()
    spec = Spec(protocol="2pc", runtime="docker", respawn_after_s=0.2, time_limit_s=8.0)
    async with DockerDeployment(spec) as shop, ShopClient(shop.url, 20.0) as client:
        buyer = await user(client, 9)
        store = shop.platform.containers["payment-store"]
        assert b"started" in await asyncio.to_thread(store.output_of, ["valkey-cli", "BGREWRITEAOF"])
        async with asyncio.timeout(20):
            while not (look := await asyncio.to_thread(store.output_of, ["valkey-cli", "INFO", "persistence"])) or (
                b"aof_rewrite_in_progress:1" in look or b"aof_rewrite_scheduled:1" in look
            ):
                await asyncio.sleep(0.05)
        assert b"aof_last_bgrewrite_status:ok" in look
        assert b".2.base.rdb" in await asyncio.to_thread(store.output_of, ["ls", "/data/appendonlydir"])
        await shop.restart("payment-store")
        async with asyncio.timeout(20):
            while (await client.call("find_user", buyer)).outcome != "ok":
                await asyncio.sleep(0.05)
        assert await credit_of(client, buyer) == 9


def test_a_deployment_leaves_no_anonymous_volume() -> None:
    need_docker()

    async def up_and_down(tag: list[str]) -> None:
        async with DockerDeployment(Spec(protocol="2pc", runtime="docker")) as shop:
            for container in shop.platform.containers.values():
                container.handle.reload()
                tag += [mount["Name"] for mount in container.handle.attrs["Mounts"] if mount["Type"] == "volume"]

    mounted: list[str] = []
    asyncio.run(up_and_down(mounted))
    assert len(mounted) == 6  # three of stores, and one without a name for each service
    with closing(engine_client.connect()) as client:
        assert not {volume.name for volume in client.volumes.list()} & set(mounted)


def test_compose_by_hand_starts_nothing_with_an_example_secret(tmp_path: Path) -> None:
    """Compose rejects the present `.env.example`; services reject the secret that an older one published."""
    need_docker()
    example = dict(
        line.split("=", 1)
        for line in (project.root() / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    with closing(engine_client.connect()) as client:
        ours = images.variables(images.choose(client))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WDM_", "COMPOSE_"))}
    command = [
        *compose.find().command,
        "--file",
        str(project.compose_file()),
        "--project-name",
        f"wdm-refused-{os.getpid()}",
    ]

    def run(variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *arguments],
            env={**kept, **ours, **example, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    refused = run({}, "up", "--detach", "stock-store")
    assert refused.returncode != 0
    assert "is not set; copy .env.example to .env and say one of your own there" in refused.stderr
    published = {"WDM_SECRET": "choose-your-own-7d1f", "WDM_STORE_PASSWORD": "choose-your-own-too-90ac"}
    try:
        for service in ("stock-store", "stock"):
            result = run({**published, "WDM_RESTART": "no"}, "run", "--rm", "--no-deps", "-T", service)
            assert result.returncode == 2, result
            assert "is the published example; choose your own" in result.stdout + result.stderr
    finally:
        run(published, "down", "--volumes", "--timeout", "1")
