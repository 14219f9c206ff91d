"""Stores with copies in containers: the rights and the networks of each, and the promise of a copy over its lives."""

import asyncio
from typing import Any

import pytest

from harness.runtimes.deployment.copies import roles
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.docker.deployment import DockerDeployment
from protocols.service.copies.server import PROMISE
from tests.docker.test_hardening import loose
from tests.runtimes import need_docker

pytestmark = pytest.mark.docker

OPENS = "timeout 2 bash -c '</dev/tcp/{}' && echo yes || echo no"
TRIES = 10


def reaches(container: Any, to: Any, port: int) -> bool:
    """Return whether a connection opens to any address of another container."""
    addresses = [network["IPAddress"] for network in to.handle.attrs["NetworkSettings"]["Networks"].values()]
    probes = [OPENS.format(f"{address}/{port}") for address in addresses]
    return b"yes" in container.output_of(["sh", "-c", "{ " + "; ".join(probes) + "; } 2>/dev/null"])


async def until_reachable(container: Any, to: Any, port: int, expected: bool) -> None:
    """Wait until a connection opens, or until none does: an engine that changes other networks too is late with its rules."""
    for _ in range(TRIES):
        if reaches(container, to, port) == expected:
            return
        await asyncio.sleep(0.5)
    pytest.fail(f"{container.handle.name} reaches {to.handle.name}: {not expected}")


def promise(container: Any) -> bytes:
    """Return the largest ballot for which this copy was revoked."""
    return bytes(container.output_of(["valkey-cli", "CONFIG", "GET", PROMISE])).split()[-1]


async def test_copies_and_the_elector_have_no_more_than_they_need_and_a_restart_keeps_a_promise() -> None:
    need_docker()
    async with DockerDeployment(Spec(protocol="2pc", runtime="docker", copies=3, respawn_after_s=0.2)) as shop:
        containers = shop.platform.containers
        planned: dict[str, set[str]] = {}
        for attachment in shop.platform._layout.attachments():
            planned.setdefault(attachment.node, set()).add(attachment.network)
        for name, container in containers.items():
            container.handle.reload()
            assert loose(container.handle) == {}, name
            networks = container.handle.attrs["NetworkSettings"]["Networks"]
            assert {network.rpartition("_")[2] for network in networks} == planned[name]
        for name, to, port, open_ in (
            ("stock-1", "stock-store-2", 6379, True),
            ("stock-1", "payment-store-2", 6379, False),
            ("stock-1", "elector", 5000, False),
            ("stock-store-1", "stock-store-2", 6379, True),
            ("stock-store-1", "payment-store-2", 6379, False),
            ("elector", "payment-store-3", 6379, True),
            ("elector", "stock-1", 5000, False),
        ):
            await until_reachable(containers[name], containers[to], port, open_)
        follower = next(
            name for name, role in roles(shop.spec, shop.nodes(), {}, "").items() if role.startswith("copy")
        )
        before = promise(containers[follower])
        assert int(before.rpartition(b"-")[2]) > 0
        shop.kill(follower)
        await shop.settled()
        await shop.serving(follower, 40.0)
        assert promise(containers[follower]) == before
