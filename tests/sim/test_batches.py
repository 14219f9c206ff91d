"""A `batch_init` of many commands: its answer at an obstacle is true of all of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from harness.runtimes.sim.client import SimClient
from harness.runtimes.sim.simulation import Simulation
from tests.sim.conftest import simulate


@asynccontextmanager
async def in_doubt(shop: Simulation, items: int, bought: int) -> AsyncIterator[SimClient]:
    """Yield a client of a shop with one item locked by a checkout that stays in doubt inside the block."""
    async with shop.client(15) as client:
        assert (await client.call("init_items", items, 9, 1)).outcome == "ok"
        assert (await client.call("init_users", 1, 9)).outcome == "ok"
        order = (await client.call("create_order", 0)).value
        assert (await client.call("add_item", order, bought, 2)).outcome == "ok"
        shop.pause("payment-1")
        checkout = asyncio.ensure_future(client.call("checkout", order))
        await asyncio.sleep(0.5)
        shop.pause("order-1")
        yield client
        shop.resume("payment-1")
        shop.resume("order-1")
        await checkout


def test_a_batch_that_meets_a_lock_half_way_has_an_unknown_outcome() -> None:
    async def play(shop: Simulation) -> None:
        async with in_doubt(shop, items=1_100, bought=1_050) as client:
            response = await client.call("init_items", 1_100, 50, 1)
            assert (response.outcome, response.status) == ("unknown", 503)
            assert "1000 of 1100 are reset" in response.value["error"]
            assert "locked by transaction" in response.value["error"]
            assert (await client.call("find_item", 999)).value["stock"] == 50
            assert (await client.call("find_item", 1_099)).value["stock"] == 9

    simulate(play, time_limit_s=3.0)


def test_a_batch_that_meets_a_lock_at_its_first_step_is_rejected() -> None:
    async def play(shop: Simulation) -> None:
        async with in_doubt(shop, items=5, bought=4) as client:
            response = await client.call("init_items", 5, 50, 1)
            assert (response.outcome, response.status) == ("fail", 409)
            assert (await client.call("find_item", 0)).value["stock"] == 9

    simulate(play, time_limit_s=3.0)


def test_a_batch_ends_at_the_time_limit_also_where_its_store_is_slow() -> None:
    async def play(shop: Simulation) -> None:
        async with shop.client(60) as client:
            began = asyncio.get_running_loop().time()
            response = await client.call("init_orders", 500_000, 10, 10, 1)
            assert asyncio.get_running_loop().time() - began < 2
            assert (response.outcome, response.status) == ("unknown", 503)
            done = int(response.value["error"].split()[0])
            assert 0 < done < 500_000
            assert (await client.call("find_order", done - 1)).outcome == "ok"
            assert (await client.call("find_order", done)).status == 404

    simulate(play, time_limit_s=0.05)
