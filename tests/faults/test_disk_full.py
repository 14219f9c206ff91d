"""A store whose disk is full: rejected writes did not happen, and acknowledged ones are lost only as far as claimed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import pytest

from harness import faults
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import Response, ShopClient
from tests.contract.acts import user
from tests.faults.acts import begin, healed, until
from tests.runtimes import EVERY_RUNTIME, deployment

STORE = "payment-store"


@asynccontextmanager
async def shop_of(
    runtime: str, durability: Literal["everysec", "always"]
) -> AsyncIterator[tuple[Any, ShopClient, str]]:
    """Yield a shop with stores of this durability, a client of it, and a user with a credit of 1."""
    spec = Spec(protocol="2pc", respawn_after_s=0.1, time_limit_s=2.0, durability=durability)
    async with deployment(runtime, spec) as shop, ShopClient(shop.url) as client:
        yield shop, client, await user(client, 1)


async def add_until_rejected(client: ShopClient, buyer: str, at_most: int = 50) -> list[Response]:
    """Return every answer to `add_funds` of 1; the last is the first that is not 200."""
    responses: list[Response] = []
    while not responses or responses[-1].outcome == "ok":
        assert len(responses) < at_most, "the disk was not full"
        responses.append(await client.call("add_funds", buyer, 1))
    return responses


async def credit(client: ShopClient, buyer: str) -> int:
    return int((await client.need("find_user", buyer))["credit"])


@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="package")
async def test_a_store_with_a_full_disk_rejects_and_serves_again(shop: LocalDeployment, client: ShopClient) -> None:
    buyer = await user(client, 1)
    fault = await begin(shop, "disk-full", STORE, for_s=60)
    responses = await add_until_rejected(client, buyer)
    assert responses[-1].outcome == "fail", "a store that rejects a command has not executed it"
    pid = shop.node(STORE).pid
    await faults.end(shop, fault)
    async with asyncio.timeout(20):
        while (await client.call("add_funds", buyer, 1)).outcome != "ok":
            await asyncio.sleep(0.05)
    assert await credit(client, buyer) == 1 + len(responses) - 1 + 1
    assert shop.node(STORE).pid == pid, "at everysec it goes on"


@pytest.mark.slow
@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
async def test_a_killed_store_loses_at_most_what_met_the_full_disk(runtime: str) -> None:
    async with shop_of(runtime, "everysec") as (shop, client, buyer):
        fault = await begin(shop, "disk-full", STORE, for_s=60)
        acknowledged = len(await add_until_rejected(client, buyer))  # one before the fault, and all but the last
        shop.kill(STORE, stay_down=True)
        await shop.settled()
        await faults.end(shop, fault)
        shop.revive(STORE)
        await healed(shop)
        assert acknowledged - 1 <= await credit(client, buyer) <= acknowledged


@pytest.mark.slow
@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
async def test_always_loses_nothing_that_was_acknowledged(runtime: str) -> None:
    async with shop_of(runtime, "always") as (shop, client, buyer):
        pid = shop.node(STORE).pid
        fault = await begin(shop, "disk-full", STORE, for_s=60)
        responses = await add_until_rejected(client, buyer)
        assert [one.outcome for one in responses[:-1]] == []
        await until(lambda: shop.node(STORE).pid not in (None, pid))  # it ended, and its next life has no more space
        assert (await client.call("add_funds", buyer, 1)).outcome != "ok"
        await faults.end(shop, fault)
        await healed(shop)
        async with asyncio.timeout(20):
            while (await client.call("find_user", buyer)).outcome != "ok":
                await asyncio.sleep(0.05)
        unknown = 2
        assert 1 <= await credit(client, buyer) <= 1 + unknown
