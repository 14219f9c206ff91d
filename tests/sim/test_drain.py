"""A simulated service that is terminated answers its requests first, as a real one does."""

import asyncio

from harness.runtimes.sim.simulation import Simulation
from tests.sim.conftest import examined, simulate


def pid_of(shop: Simulation, name: str) -> int | None:
    return next(node.pid for node in shop.nodes() if node.name == name)


def test_requests_under_way_are_answered_and_new_ones_go_to_the_next_life() -> None:
    statuses: list[int] = []

    async def play(shop: Simulation) -> None:
        async with shop.client(8) as client:
            user, item = (await client.call("create_user")).value, (await client.call("create_item", 1)).value
            await client.call("add_funds", user, 9)
            await client.call("add_stock", item, 9)
            orders = [(await client.call("create_order", user)).value for _ in range(2)]
            for order in orders:
                await client.call("add_item", order, item, 1)
            shop.pause("payment-1")
            under_way = asyncio.ensure_future(client.call("checkout", orders[0]))
            await asyncio.sleep(0.5)
            life = pid_of(shop, "order-1")
            shop.terminate("order-1")
            new = asyncio.ensure_future(client.call("checkout", orders[1]))
            await asyncio.sleep(0.5)
            assert pid_of(shop, "order-1") == life
            assert not new.done()
            shop.resume("payment-1")
            statuses.append((await under_way).status)
            assert pid_of(shop, "order-1") == life
            statuses.append((await new).status)
            assert pid_of(shop, "order-1") != life

    simulate(play, time_limit_s=6.0)
    assert statuses == [200, 200]


def test_a_gateway_ends_after_its_requests_and_the_other_one_gets_the_new_ones() -> None:
    async def play(shop: Simulation) -> None:
        async with shop.client(8) as client:
            buyer = (await client.call("create_user")).value
            shop.pause("payment-1")
            under_way = [asyncio.ensure_future(client.call("add_funds", buyer, 1)) for _ in range(6)]
            await asyncio.sleep(0.1)
            lives = {name: pid_of(shop, name) for name in ("gateway-1", "gateway-2")}
            shop.terminate("gateway-1")
            assert (await client.call("create_item", 1)).status == 200
            await asyncio.sleep(0.5)
            assert {name: pid_of(shop, name) for name in lives} == lives
            shop.resume("payment-1")
            assert {(await payment).status for payment in under_way} == {200}
            assert pid_of(shop, "gateway-1") is None
            shop.kill("gateway-2", stay_down=True)
            assert (await client.call("create_user")).status == 0  # both are down now, and this client does not repeat
            await asyncio.sleep(1.5)
            assert pid_of(shop, "gateway-1") not in (None, lives["gateway-1"])
            assert (await client.call("find_user", buyer)).value["credit"] == 6

    simulate(play, gateways=2)


def test_no_request_fails_in_a_rolling_restart() -> None:
    done = examined("rolling-restart", "saga")
    assert done.judgement.verdict == "holds"
    figures = next(result.finding.figures for result in done.judgement.results if result.checker == "availability")
    assert figures["failed"] == {}
    targets = {event.data["target"] for event in done.history.of_kind("fault-start")}
    assert {"gateway-1", "gateway-2", "order-1", "stock-2"} <= targets
    assert not [*done.history.of_kind("fault-refused")]
