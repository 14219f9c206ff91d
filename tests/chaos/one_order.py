"""What many clients do to one order, on any runtime, and what has to be true of it afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from harness.workload.client import Response

CLIENTS = 200
CREDIT, STOCK, PRICES = 1_000, 500, (3, 5)
BACK_WITHIN_S = 30
OVER_S = 0.6
"""Everything happens within so many seconds."""

Rests = Callable[[], Awaitable[None]]
Play = Callable[[Any, Any, Random, Rests], Awaitable[None]]


async def _need(client: Any, operation: str, *arguments: Any) -> Any:
    response = await client.call(operation, *arguments)
    assert response.outcome == "ok", (operation, arguments, response)
    return response.value


class OneOrder:
    """A user, two items at different prices, and an order that is empty at first."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def make(self) -> "OneOrder":
        self.user = await _need(self.client, "create_user")
        await _need(self.client, "add_funds", self.user, CREDIT)
        self.items = [await _need(self.client, "create_item", price) for price in PRICES]
        for item in self.items:
            await _need(self.client, "add_stock", item, STOCK)
        self.name = await _need(self.client, "create_order", self.user)
        return self

    async def charged(self) -> int:
        """What the user has paid, which is what the items that left are worth, and what the order says if it is paid, else 0."""
        order = await _need(self.client, "find_order", self.name)
        credit = int((await _need(self.client, "find_user", self.user))["credit"])
        gone = [STOCK - int((await _need(self.client, "find_item", item))["stock"]) for item in self.items]
        bought = dict.fromkeys(self.items, 0)
        for item, quantity in order["items"]:
            bought[item] += quantity
        worth = sum(quantity * price for quantity, price in zip(bought.values(), PRICES, strict=True))
        assert order["total_cost"] == worth, order
        assert CREDIT - credit == (worth if order["paid"] else 0), (order, credit)
        assert gone == (list(bought.values()) if order["paid"] else [0, 0]), (order, gone)
        return CREDIT - credit


async def add_and_check_out(_shop: Any, client: Any, rng: Random, rests: Rests) -> None:
    """Items are added to an order while others check it out, and again when it is paid."""
    order = await OneOrder(client).make()
    await _need(client, "add_item", order.name, order.items[0], 1)

    async def add(item: int) -> Response:
        await asyncio.sleep(rng.random() * OVER_S / 10)
        response: Response = await client.call("add_item", order.name, order.items[item], 1)
        return response

    async def check_out() -> Response:
        await asyncio.sleep(rng.random() * OVER_S / 10)
        response: Response = await client.call("checkout", order.name)
        return response

    adds = [add(number % 2) for number in range(20)]
    outs = [check_out() for _ in range(5)]
    responses = await asyncio.gather(*adds, *outs)
    await rests()
    charged = await order.charged()
    assert bool(charged) == any(response.outcome == "ok" for response in responses[len(adds) :])
    added = [response.outcome for response in responses[: len(adds)]]
    assert "unknown" not in added
    lines = (await _need(client, "find_order", order.name))["items"]
    assert sum(quantity for _, quantity in lines) == 1 + added.count("ok")
    if charged:
        assert (await client.call("add_item", order.name, order.items[1], 1)).outcome == "fail"
        assert await order.charged() == charged


async def check_out_at_once(shop: Any, client: Any, rng: Random, rests: Rests) -> None:
    """All clients check the same order out while every service and store dies once."""
    order = await OneOrder(client).make()
    for item in order.items:
        await _need(client, "add_item", order.name, item, 2)

    async def check_out() -> Response:
        await asyncio.sleep(rng.random() * OVER_S)
        response: Response = await client.call("checkout", order.name)
        return response

    async def kill(name: str) -> None:
        await asyncio.sleep(rng.random() * OVER_S)
        shop.kill(name)

    victims = [node.name for node in shop.nodes() if node.kind in ("service", "store")]
    *_, responses = await asyncio.gather(*map(kill, victims), asyncio.gather(*(check_out() for _ in range(CLIENTS))))
    await shop.heal()
    async with asyncio.timeout(BACK_WITHIN_S):
        while any(node.state != "running" for node in shop.nodes()):
            await asyncio.sleep(0.05)
    await rests()
    charged = await order.charged()
    outcomes = [response.outcome for response in responses]
    assert charged or "ok" not in outcomes, "acknowledged, and nobody has paid"
    assert not charged or {"ok", "unknown"} & {*outcomes}, "all were rejected, and it is paid"
    assert (await client.call("checkout", order.name)).outcome == "ok"
    assert await order.charged() == 2 * sum(PRICES)
