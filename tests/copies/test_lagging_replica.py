"""A replica that lags is the only one left: our elector waits for the other one, Sentinel and Valkey Cluster choose it.

The primary confirms each write with one replica while the other is frozen; more data is on the way to the frozen one than the
connection holds. Then the primary dies and the replica that confirmed, the frozen one goes on, and the one that confirmed comes
back a little later. This is what "best effort" leaves out (`protocols.copies.replication`).
"""

import asyncio
from contextlib import suppress

import pytest
from redis import Redis

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.copies.replication import CopiesValue
from tests.contract.acts import credit_of, user

pytestmark = pytest.mark.slow

ADDED = 20
CHOICE_WITHIN_S, NO_CHOICE_FOR_S = 40.0, 3.0
PADDING_MB = 60
"""More than the kernel keeps of a connection on loopback, less than makes a primary give a replica up."""


def pad(url: str) -> None:
    """Write data that no client waits for."""
    with Redis.from_url(url) as server:
        for number in range(PADDING_MB):
            server.set(f"{{order-store}}padding-{number % 2}", b"x" * 1_000_000)


@pytest.mark.parametrize(("copies", "lost"), [(3, 0), ("sentinel", ADDED), ("cluster", ADDED)])
async def test_acknowledged_writes_after_the_choice_of_a_replica_that_lags(copies: CopiesValue, lost: int) -> None:
    spec = Spec(protocol="lua", copies=copies, respawn_after_s=0, time_limit_s=20)
    async with LocalDeployment(spec) as shop, ShopClient(shop.url, 30.0) as client:
        buyer = await user(client, 0)
        primary = (await asyncio.to_thread(shop.primaries))["order-store"]
        lagging, confirming = (node.name for node in shop.nodes() if node.kind == "store" and node.name != primary)
        url = next(url for url in shop.store_url("order").split() if f":{_port(shop, primary)}/" in url)
        shop.pause(lagging)
        await shop.settled()
        await asyncio.to_thread(pad, url)
        for _ in range(ADDED):
            assert (await client.call("add_funds", buyer, 1)).outcome == "ok"
        shop.kill(primary)
        shop.kill(confirming)
        shop.resume(lagging)
        chosen = await primary_within(shop, lagging, CHOICE_WITHIN_S if lost else NO_CHOICE_FOR_S)
        assert chosen == bool(lost)
        shop.revive(confirming)
        assert await credit_of(client, buyer) == ADDED - lost


async def primary_within(shop: LocalDeployment, name: str, within_s: float) -> bool:
    """Return whether the server becomes the primary in time, and answers as one."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while (await asyncio.to_thread(shop.primaries)).get("order-store") != name:
                await asyncio.sleep(0.1)
            return True
    return False


def _port(shop: LocalDeployment, name: str) -> str:
    return shop.node(name).url.rpartition(":")[2].partition("/")[0]
