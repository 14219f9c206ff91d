"""Stores with copies as real servers: a primary that dies, one that comes back from a pause, and an elector that dies."""

import asyncio
import json
import urllib.request

import pytest

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.errors import UsageError
from tests.contract.acts import credit_of, user
from tests.runtimes import EVERY_RUNTIME, deployment

pytestmark = pytest.mark.slow


async def primary_of(shop: LocalDeployment, store: str, other_than: str = "") -> str:
    """Return the established primary, as soon as it is another one."""

    def health() -> str:
        with urllib.request.urlopen(f"{shop.node('elector').url}/health", timeout=2) as response:
            return str(json.load(response)["stores"][store]["primary"])

    async with asyncio.timeout(20):
        while (primary := await asyncio.to_thread(health)) in ("", other_than):
            await asyncio.sleep(0.05)
    return primary


@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
async def test_no_request_fails_and_nothing_is_lost_while_a_primary_dies(runtime: str) -> None:
    spec = Spec(protocol="2pc", copies=3, respawn_after_s=0.3)
    async with deployment(runtime, spec) as shop, ShopClient(shop.url, 20.0) as client:
        buyer = await user(client, 0)
        added = 0

        async def add(times: int) -> None:
            nonlocal added
            for _ in range(times):
                assert (await client.call("add_funds", buyer, 1)).outcome == "ok"
                added += 1

        for _ in range(3):
            primary = await primary_of(shop, "payment-store")
            adding = asyncio.gather(*(add(30) for _ in range(4)))
            await asyncio.sleep(0.05)
            shop.kill(primary)
            await adding
            assert await primary_of(shop, "payment-store", other_than=primary)
            await shop.serving(primary, 40.0)
        assert await credit_of(client, buyer) == added == 360


async def test_a_primary_that_was_paused_answers_nobody_with_old_data() -> None:
    async with LocalDeployment(Spec(protocol="2pc", copies=3)) as shop, ShopClient(shop.url, 20.0) as client:
        buyer = await user(client, 7)
        primary = await primary_of(shop, "payment-store")
        shop.pause(primary)
        assert await primary_of(shop, "payment-store", other_than=primary)
        assert (await client.call("add_funds", buyer, 1)).outcome == "ok"
        shop.resume(primary)
        for _ in range(200):
            assert await credit_of(client, buyer) == 8


async def test_stores_go_on_without_the_elector_and_the_next_one_replaces_a_primary() -> None:
    spec = Spec(protocol="2pc", copies=3, respawn_after_s=0.3)
    async with LocalDeployment(spec) as shop, ShopClient(shop.url, 20.0) as client:
        buyer, primary = await user(client, 7), await primary_of(shop, "payment-store")
        shop.kill("elector")
        assert (await client.call("add_funds", buyer, 1)).outcome == "ok"
        shop.kill(primary)
        assert (await client.call("add_funds", buyer, 1)).outcome == "ok"
        await shop.serving("elector")
        assert await credit_of(client, buyer) == 9


async def test_all_servers_killed_at_once_come_back_with_everything() -> None:
    spec = Spec(protocol="2pc", copies=3, respawn_after_s=0.3, durability="always")
    async with LocalDeployment(spec) as shop, ShopClient(shop.url, 20.0) as client:
        buyer = await user(client, 7)
        for node in shop.nodes():
            if node.kind == "store":
                shop.kill(node.name)
        await shop.settled()
        assert (await client.call("add_funds", buyer, 1)).outcome == "ok"
        assert await credit_of(client, buyer) == 8


def test_a_number_of_copies_without_a_majority_is_refused() -> None:
    with pytest.raises(UsageError, match="copies=2 is not one of: 1, 3, sentinel, cluster"):
        Spec(protocol="2pc", copies=2).check()
