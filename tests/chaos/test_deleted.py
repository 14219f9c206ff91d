"""Somebody deletes from a broker what a running shop reads: the next checkout is answered all the same."""

import asyncio
import time

import aiohttp
import pytest
from aio_pika import connect
from redis.asyncio import Redis

from harness.workload.client import ShopClient
from tests.chaos.test_transports import shop_on
from tests.contract.acts import item, order, state, user

pytestmark = pytest.mark.asyncio

WITHIN_S = 20.0
QUEUES = ("wdm.stock", "wdm.payment", "wdm.order-1", "wdm.stock-1")


async def delete(transport: str, url: str) -> None:
    if transport == "streams":
        async with Redis.from_url(url) as client:
            await client.flushall()
        return
    async with await connect(url) as connection:
        channel = await connection.channel()
        for queue in QUEUES:
            await channel.queue_delete(queue)


@pytest.mark.parametrize(
    "transport", [pytest.param("streams", marks=pytest.mark.slow), pytest.param("rabbitmq", marks=pytest.mark.broker)]
)
async def test_a_checkout_is_answered_after_what_its_services_read_was_deleted(transport: str) -> None:
    async with (
        shop_on("local", transport, protocol="2pc", time_limit_s=WITHIN_S) as shop,
        ShopClient(shop.url) as client,
    ):
        name, buyer = await item(client, 9), await user(client, 9)
        for number in (1, 2, 3):
            placed = await order(client, buyer, (name, 2))
            assert (await client.call("checkout", placed)).status == 200
            assert await state(client, placed, [name], buyer) == {
                "paid": True,
                "stock": [9 - 2 * number],
                "credit": 9 - 2 * number,
            }
            await delete(transport, shop.broker_url("order-1"))
        assert shop.log("stock-1").read_text().count("broker lost") >= 1
        deadline = time.monotonic() + WITHIN_S
        async with aiohttp.ClientSession() as session:
            while True:
                async with session.get(shop.node("stock-1").url + "/health") as answer:
                    health = await answer.json()
                if health["link"] and "trouble" not in health:
                    break
                assert time.monotonic() < deadline, health
                await asyncio.sleep(0.05)
