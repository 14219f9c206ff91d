"""Stores under Sentinel and Valkey Cluster as real servers: a shop goes on when a primary dies, and at its next start."""

import asyncio
from pathlib import Path

import pytest
from redis import Redis

from harness.runtimes.deployment.copies import roles
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.copies.replication import CopiesValue
from tests.contract.acts import credit_of, user

pytestmark = pytest.mark.slow

MANAGED = pytest.mark.parametrize("copies", ["sentinel", "cluster"])


async def primary_of(shop: LocalDeployment, store: str, other_than: str = "") -> str:
    """Return the primary that the manager names, as soon as it is another one."""
    async with asyncio.timeout(40):
        while (primary := (await asyncio.to_thread(shop.primaries)).get(store, "")) in ("", other_than):
            await asyncio.sleep(0.05)
    return primary


def keys(shop: LocalDeployment) -> set[str]:
    urls = dict.fromkeys(url for service in ("order", "stock", "payment") for url in shop.store_url(service).split())
    return {key.decode() for url in urls for key in Redis.from_url(url).scan_iter()}


@pytest.mark.parametrize("protocol", ["2pc", "lua"])
@MANAGED
async def test_the_service_goes_on_after_the_death_of_a_primary(copies: CopiesValue, protocol: str) -> None:
    spec = Spec(protocol=protocol, copies=copies, respawn_after_s=0)
    async with LocalDeployment(spec) as shop, ShopClient(shop.url, 30.0) as client:
        buyer = await user(client, 7)
        store = "payment-store" if protocol == "2pc" else "order-store"
        primary = await primary_of(shop, store)
        shop.kill(primary)
        assert await primary_of(shop, store, other_than=primary) != primary
        # No sum of these is claimed, since the manager may choose once more on a busy machine.
        for _ in range(10):
            assert (await client.call("add_funds", buyer, 1)).outcome == "ok"
        shop.revive(primary)
        await shop.serving(primary, 20.0)
        described = await asyncio.to_thread(roles, spec, shop.nodes(), shop.plan.store_urls, shop.plan.secret)
        own = [words for name, words in described.items() if name.startswith(store)]
        assert (len(own), own.count("primary")) == (3, 1)
        if copies == "cluster":
            assert {key.partition("}")[0] for key in keys(shop)} <= {"{order-store", "{stock-store", "{payment-store"}


@MANAGED
async def test_the_next_deployment_has_the_data_of_the_last_primary(copies: CopiesValue, tmp_path: Path) -> None:
    spec = Spec(protocol="lua", copies=copies, respawn_after_s=0)
    async with LocalDeployment(spec, tmp_path / "state") as shop, ShopClient(shop.url, 20.0) as client:
        buyer, primary = await user(client, 7), await primary_of(shop, "order-store")
        shop.kill(primary)
        assert (await client.call("add_funds", buyer, 1)).outcome == "ok"
    async with LocalDeployment(spec, tmp_path / "state") as shop, ShopClient(shop.url, 20.0) as client:
        assert await primary_of(shop, "order-store") != primary
        assert await credit_of(client, buyer) == 8
