"""Sequences of prices, removals and new orders conserve money in every protocol, over the services' own handlers."""

from typing import Any

import pytest

from harness.runtimes.sim.simulation import Simulation
from protocols import registry
from protocols.registry import load
from tests.sim.conftest import simulate

LOCKS = next(option.choices for option in load("2pc").options if option.name == "locks")
SHOPS = [
    *((name, {}) for name in registry.names() if name != "2pc"),
    *(("2pc", {"locks": locks, "reads": "settled"}) for locks in LOCKS),
]


async def total_and_lines(client: Any, order: str) -> tuple[int, list[list[Any]]]:
    value = (await client.call("find_order", order)).value
    return value["total_cost"], value["items"]


@pytest.mark.parametrize(("protocol", "options"), SHOPS, ids=str)
def test_a_line_keeps_the_price_at_which_it_was_added(protocol: str, options: dict[str, str]) -> None:
    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:

            async def ok(*request: Any) -> Any:
                response = await client.call(*request)
                assert response.outcome == "ok", (request, response)
                return response.value

            await ok("init_items", 5, 100, 10)
            await ok("init_users", 5, 1000)
            order = await ok("create_order", 0)
            await ok("add_item", order, 1, 2)
            await ok("init_items", 5, 100, 100)
            await ok("add_item", order, 1, 1)
            assert await total_and_lines(client, order) == (120, [["1", 2], ["1", 1]])
            await ok("remove_item", order, 1)
            assert await total_and_lines(client, order) == (100, [["1", 1]])
            await ok("init_items", 5, 100, 3)
            await ok("remove_item", order, 1)
            assert await total_and_lines(client, order) == (0, [])
            assert (await client.call("remove_item", order, 1)).status == 404
            await ok("add_item", order, 1, 1)
            await ok("checkout", order)
            assert await ok("find_user", 0) == {"user_id": "0", "credit": 997}
            assert await ok("find_item", 1) == {"stock": 99, "price": 3}

    simulate(play, protocol=protocol, options=options)


def test_the_removal_of_a_line_requests_no_price() -> None:
    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            await client.call("init_items", 2, 100, 10)
            order = (await client.call("create_order", 0)).value
            await client.call("add_item", order, 1, 2)
            shop.kill("stock-1", stay_down=True)
            shop.kill("stock-store", stay_down=True)
            assert (await client.call("remove_item", order, 1)).outcome == "ok"
            assert await total_and_lines(client, order) == (0, [])

    simulate(play)
