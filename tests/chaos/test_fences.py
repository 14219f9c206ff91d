"""A real shop whose coordinator is killed thirty times under load: its stores remember instances, and not lives."""

import asyncio
from contextlib import closing

import pytest
from redis import Redis

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.chaos.test_shop import rests
from tests.contract.acts import item, order, user

KILLS = 30
LAST = 8  # checkouts one after the other at the end, so that each instance says what has ended

pytestmark = pytest.mark.slow


def remembered(shop: LocalDeployment, service: str) -> dict[str, int]:
    """How many horizons, lives and fences a participant's store has."""
    with closing(Redis.from_url(shop.store_url(service))) as store:
        found = {"horizon": store.hlen("horizon")}
        for name in ("lives:", "fence:"):
            found[name] = sum(store.hlen(key) for key in store.scan_iter(f"{name}*"))
    return found


async def kill_under_load(shop: LocalDeployment, client: ShopClient, name: str, buyer: str, victims: list[str]) -> None:
    over = asyncio.Event()

    async def keeps_buying() -> None:
        while not over.is_set():
            placed = await client.call("create_order", buyer)
            if placed.outcome == "ok" and (await client.call("add_item", placed.value, name, 1)).outcome == "ok":
                await client.call("checkout", placed.value)
            await asyncio.sleep(0.01)

    crowd = [asyncio.ensure_future(keeps_buying()) for _ in range(3)]
    for number in range(KILLS):
        victim = victims[number % len(victims)]
        await asyncio.sleep(0.1)
        life = shop.node(victim).pid
        shop.kill(victim)
        async with asyncio.timeout(20):
            while shop.node(victim).pid in (life, None):
                await asyncio.sleep(0.01)
        await shop.serving(victim)
    over.set()
    await asyncio.gather(*crowd)


@pytest.mark.parametrize(
    ("protocol", "workers"),
    [("2pc", 1), ("saga", 2)],
)
async def test_stores_remember_instances_and_not_lives(protocol: str, workers: int) -> None:
    spec = Spec(protocol=protocol, workers=workers, respawn_after_s=0.05, time_limit_s=4.0)
    victims = [f"order-{number}" for number in range(1, workers + 1)]
    async with LocalDeployment(spec) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 100_000), await user(client, 100_000)
        await kill_under_load(shop, client, name, buyer, victims)
        assert await rests(shop)

        async def buy() -> None:
            placed = await order(client, buyer, (name, 1))
            assert (await client.call("checkout", placed)).status == 200
            assert await rests(shop)

        for _ in range(LAST):
            await buy()
        async with asyncio.timeout(20):
            # An instance learns at its next sweep that the last transaction of its former life has ended.
            while any(remembered(shop, service)["lives:"] > workers for service in ("stock", "payment")):
                await buy()
        for service in ("stock", "payment"):
            kept = remembered(shop, service)
            assert kept["horizon"] <= workers
            assert kept["fence:"] <= LAST
