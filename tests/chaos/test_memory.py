"""No request takes more than there is: a real shop whose stores have little memory, and clients that request much and leave."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import closing

import aiohttp
import pytest
from redis import Redis

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.shop.batches import ACCOUNT_BYTES, ORDER_BYTES
from tests.contract.acts import credit_of, item, order, state, user
from tests.runtimes import EVERY_PROTOCOL

pytestmark = pytest.mark.asyncio
MEMORY_MB = 16
MOST = MEMORY_MB * 2**20 // ACCOUNT_BYTES
WITHIN_S = 15.0


def small(protocol: str, **changes: object) -> LocalDeployment:
    given = {"protocol": protocol, "store_memory_mb": MEMORY_MB, "respawn_after_s": 0.2, **changes}
    return LocalDeployment(Spec(**given))  # type: ignore[arg-type]


def store(shop: LocalDeployment, service: str) -> Redis:
    return Redis.from_url(shop.store_url(service))


async def until(happened: Callable[[], Awaitable[bool]]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not await happened():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def comes_to_rest(server: Redis) -> int:
    """How many keys there are once that has stopped to grow."""
    found = [-1, 0]

    async def still() -> bool:
        await asyncio.sleep(0.25)
        found[:] = [found[1], server.dbsize()]  # type: ignore[list-item]
        return found[0] == found[1]

    await until(still)
    return found[1]


@pytest.mark.slow
async def test_one_request_makes_no_more_than_a_store_holds_and_ends_with_its_client() -> None:
    async with small("2pc", time_limit_s=30.0) as shop, ShopClient(shop.url) as client:
        for operation, *args in (("init_items", MOST + 1, 1, 1), ("init_users", 10**8, 1)):
            response = await client.call(operation, *args)
            assert response.status == 400
            assert str(args[0]) in str(response.value)
            assert f"at most {MOST}" in str(response.value)
        response = await client.call("init_orders", 10**8, 1, 1, 1)
        assert (response.status, f"at most {MEMORY_MB * 2**20 // ORDER_BYTES}" in str(response.value)) == (400, True)

        with closing(store(shop, "stock")) as server:
            assert server.config_get("maxmemory*")["maxmemory"] == str(MEMORY_MB * 2**20)  # type: ignore[index]
            before = server.dbsize()
            impatient = aiohttp.ClientTimeout(total=0.3)
            for url in (shop.url + "/stock", shop.node("stock-1").url):  # behind the gateway, and the service itself
                async with aiohttp.ClientSession(timeout=impatient) as session:
                    with pytest.raises(TimeoutError):
                        await session.post(f"{url}/batch_init/{MOST}/1/1")
                assert before < await comes_to_rest(server) < MOST


@pytest.mark.slow
async def test_a_request_ends_at_its_limit_and_says_how_far_it_came() -> None:
    async with small("2pc", time_limit_s=0.3) as shop, ShopClient(shop.url) as client:
        with closing(store(shop, "stock")) as server:
            await client.need("create_item", 1)  # the first key makes the table of keys
            before = server.dbsize()
            response = await client.call("init_items", MOST, 7, 1)
            assert (response.outcome, response.status) == ("unknown", 503)
            done = int(response.value["error"].split()[0])
            assert 0 < done < MOST
            assert f"{done} of {MOST} are reset" in response.value["error"]
            assert await comes_to_rest(server) == before + done  # type: ignore[operator]


@pytest.mark.parametrize(
    "protocol", ["2pc", *(pytest.param(name, marks=pytest.mark.slow) for name in EVERY_PROTOCOL if name != "2pc")]
)
async def test_a_full_store_refuses_what_is_new_and_goes_on_with_what_is_there(protocol: str) -> None:
    async with small(protocol, time_limit_s=4.0) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9), await user(client, 9)
        placed, other = await order(client, buyer, (name, 2)), await order(client, buyer, (name, 100))
        for service in ("order", "stock", "payment"):
            with closing(store(shop, service)) as server:
                server.config_set("maxmemory", "1mb")  # less than it has already
        for operation, *args in (
            ("create_user",), ("create_item", 1), ("create_order", buyer), ("add_item", other, name, 1),
            ("init_users", 5, 1), ("init_items", 5, 1, 1), ("init_orders", 5, 1, 1, 1),
        ):  # fmt: skip
            began = time.monotonic()
            response = await client.call(operation, *args)
            assert (operation, response.outcome, response.status) == (operation, "fail", 424)
            assert "memory is full; nothing happened" in str(response.value)
            assert time.monotonic() - began < 2, "a refusal, not the end of a wait"
        assert (await client.call("checkout", other)).status == 409
        assert (await client.call("checkout", placed)).status == 200
        await client.need("add_funds", buyer, 1)
        await client.need("remove_item", other, name)
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [7], "credit": 8}
        # Who comes back to a full store finds it of use, and one that has room again makes what is new.
        shop.kill("payment-1")
        await until(lambda: _is(credit_of(client, buyer), 8))
        with closing(store(shop, "payment")) as server:
            server.config_set("maxmemory", f"{MEMORY_MB}mb")
        assert (await client.call("create_user")).outcome == "ok"


async def _is(found: Awaitable[int], expected: int) -> bool:
    return await found == expected


@pytest.mark.slow
async def test_a_batch_that_a_full_store_cuts_short_is_no_refusal() -> None:
    async with small("2pc", time_limit_s=30.0) as shop, ShopClient(shop.url) as client:
        with closing(store(shop, "stock")) as server:
            await client.need("create_item", 1)  # the first key makes the table of keys
            before = server.dbsize()
            used = server.info("memory")["used_memory"]  # type: ignore[index]
            server.config_set("maxmemory", str(used + 4 * 2**20))
            response = await client.call("init_items", 60_000, 7, 1)
            assert (response.outcome, response.status) == ("unknown", 503)
            done = int(response.value["error"].split()[0])
            assert 0 < done < 60_000
            assert await comes_to_rest(server) == before + done  # type: ignore[operator]
            assert "memory is full" in response.value["error"]
