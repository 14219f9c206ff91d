"""Faults of nodes on a real shop: their effects, their overlap and their heal."""

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest

from harness import faults
from harness.runtimes.deployment.node_supervisor import NodeSupervisor
from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.local.child import ChildLife
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.contract.acts import credit_of, is_paid, stock_of
from tests.faults.acts import begin, checkout, hangs, healed, placed, states, until

pytestmark = pytest.mark.asyncio(loop_scope="package")


async def test_a_crash_without_an_end_is_followed_by_a_new_life(shop: LocalDeployment, client: ShopClient) -> None:
    before = shop.node("stock-1").pid
    await begin(shop, "crash", "stock-1", for_s=0)
    await until(lambda: shop.node("stock-1").pid not in (before, None))
    await healed(shop)
    assert await checkout(client) == 200


async def test_a_restart_loses_no_request_and_ends_with_a_new_life(shop: LocalDeployment, client: ShopClient) -> None:
    _, _, (one,) = await placed(client)
    pid = shop.node("order-1").pid
    pause = await begin(shop, "pause", "payment-1")
    request = asyncio.ensure_future(client.call("checkout", one))
    assert not (await asyncio.wait((request,), timeout=0.2))[0]
    await faults.end(shop, pause)
    restart = await begin(shop, "restart", "order-1")
    assert (await request).status == 200
    await faults.end(shop, restart)
    assert (states(shop, "order-1"), shop.node("order-1").pid == pid) == (["running"], False)


@pytest.mark.slow
async def test_a_restart_waits_until_every_node_serves(shop: LocalDeployment) -> None:
    crash = await begin(shop, "crash", "stock-1")
    restarting = asyncio.ensure_future(begin(shop, "restart", "payment-1"))
    assert not (await asyncio.wait((restarting,), timeout=0.2))[0]
    await faults.end(shop, crash)
    await faults.end(shop, await restarting)
    await healed(shop)


async def test_a_crash_may_wait_until_every_node_serves(shop: LocalDeployment) -> None:
    first = await begin(shop, "crash", "stock-1")
    second = asyncio.ensure_future(begin(shop, "crash", "payment-1", when="all-serve"))
    assert not (await asyncio.wait((second,), timeout=0.2))[0]
    await faults.end(shop, first)
    await faults.end(shop, await second)
    assert states(shop, "stock-1") == ["running"]
    await healed(shop)


async def test_a_kill_has_happened_when_its_start_returns(shop: LocalDeployment) -> None:
    """Found by `everything --runtime docker --seed 11`: healed before the engine had killed it, a node was still missing."""
    crash, pause = await begin(shop, "crash", "stock-1", "payment-store"), await begin(shop, "pause", "order-1")
    assert states(shop, "stock-1", "payment-store", "order-1") == ["down", "down", "paused"]
    await faults.end(shop, pause)
    assert states(shop, "order-1") == ["running"]
    await faults.end(shop, crash)
    await healed(shop)


async def test_a_crash_lasts_until_the_last_fault_that_keeps_the_node_down(shop: LocalDeployment) -> None:
    one = await begin(shop, "crash", "payment")
    other = await begin(shop, "crash", "services", for_s=2.0)
    await until(lambda: states(shop, "order-1", "payment-1") == ["down", "down"])
    await faults.end(shop, one)
    await faults.end(shop, one)
    await asyncio.sleep(0.15)  # longer than a respawn takes to begin
    assert states(shop, "order-1", "payment-1") == ["down", "down"]
    await faults.end(shop, other)
    await healed(shop)


async def test_requests_wait_for_a_store_that_is_down(shop: LocalDeployment, client: ShopClient) -> None:
    _, _, (one,) = await placed(client)
    fault = await begin(shop, "crash", "stock-store")
    assert await hangs(client, one, shop, fault) == 200


async def test_a_paused_node_sends_no_response_and_continues(shop: LocalDeployment, client: ShopClient) -> None:
    _, _, (one,) = await placed(client)
    pid = shop.node("payment-1").pid
    fault = await begin(shop, "pause", "payment")
    await until(lambda: states(shop, "payment-1") == ["paused"])
    assert await hangs(client, one, shop, fault) == 200
    assert shop.node("payment-1").pid == pid


async def test_a_pause_lasts_until_the_last_fault_that_keeps_it(shop: LocalDeployment) -> None:
    one, other = await begin(shop, "pause", "stock-store"), await begin(shop, "pause", "stores", for_s=2.0)
    await faults.end(shop, one)
    await until(lambda: states(shop, "stock-store", "order-store") == ["paused", "paused"])
    await faults.end(shop, other)
    await until(lambda: states(shop, "stock-store", "order-store") == ["running", "running"])


async def test_a_paused_node_that_is_killed_is_no_error(shop: LocalDeployment) -> None:
    pause = await begin(shop, "pause", "stock-1")
    crash = await begin(shop, "crash", "stock-1")
    await until(lambda: states(shop, "stock-1") == ["down"])
    await faults.end(shop, pause)
    assert states(shop, "stock-1") == ["down"]
    await faults.end(shop, crash)
    await healed(shop)


async def test_a_fault_of_a_dead_node_reports_that_it_is_down(shop: LocalDeployment) -> None:
    crash = await begin(shop, "crash", "stock-1")
    await until(lambda: states(shop, "stock-1") == ["down"])
    for again in ("crash", "pause"):
        _, report = await faults.start(shop, faults.fault(again, ["stock-1"]), Random(1))
        assert "stock-1" in report
        assert "down" in report
    await faults.end(shop, crash)
    await healed(shop)


async def test_a_lost_tail_leaves_a_store_that_serves(shop: LocalDeployment, client: ShopClient) -> None:
    before = shop.node("payment-store").pid
    begun, report = await faults.start(shop, faults.fault("lost-tail", ["payment-store"]), Random(5))
    assert begun.targets == ("payment-store",)
    assert report.startswith("payment-store: cut ")
    await until(lambda: shop.node("payment-store").pid not in (before, None))
    await healed(shop)
    assert await checkout(client) == 200


async def test_a_power_cut_ends_all_services_and_stores_which_then_serve_again(
    shop: LocalDeployment, client: ShopClient
) -> None:
    fault, report = await faults.start(shop, faults.fault("power-cut", for_s=1), Random(6))
    assert {node.state for node in shop.nodes() if node.kind != "gateway"} == {"down"}
    assert report.count("-store: cut ") == 3
    await faults.end(shop, fault)
    await healed(shop)
    assert await checkout(client) == 200


@pytest.mark.parametrize("failpoint", ["order:after-persist:commit", "stock:before-send:vote"])
async def test_a_service_dies_at_the_failpoint_and_only_there(
    shop: LocalDeployment, client: ShopClient, failpoint: str
) -> None:
    victim = f"{failpoint.partition(':')[0]}-1"
    name, (buyer,), (one,) = await placed(client)
    before = {node.name: node.pid for node in shop.nodes()}
    fault = await begin(shop, "crash-at", failpoint=failpoint)
    response = await client.call("checkout", one)
    assert response.outcome != "fail"
    await until(lambda: shop.node(victim).pid not in (before[victim], None))
    await healed(shop)
    second = shop.node(victim).pid
    assert (await client.call("checkout", one)).status == 200  # the next life is not armed
    assert (await stock_of(client, name), await credit_of(client, buyer)) == (99, 0)
    await faults.end(shop, fault)
    assert {node.name: node.pid for node in shop.nodes()} == {**before, victim: second}


async def test_a_disarmed_failpoint_kills_no_process(shop: LocalDeployment, client: ShopClient) -> None:
    before = [node.pid for node in shop.nodes()]
    fault = await begin(shop, "crash-at", "order-1", failpoint="order:after-persist:commit", passing=2)
    assert await checkout(client) == 200  # the first passing
    await faults.end(shop, fault)
    assert await checkout(client) == 200
    assert [node.pid for node in shop.nodes()] == before


async def test_a_failpoint_counts_its_passings(shop: LocalDeployment, client: ShopClient) -> None:
    _, _, orders = await placed(client, 3)
    before = shop.node("order-1").pid
    await begin(shop, "crash-at", "order", failpoint="order:after-persist:commit", passing=3)
    other = await begin(shop, "skew", "order")  # sent to the same process: its passings stay counted
    assert [(await client.call("checkout", one)).status for one in orders[:2]] == [200, 200]
    await faults.end(shop, other)
    assert shop.node("order-1").pid == before
    await client.call("checkout", orders[2])
    await until(lambda: shop.node("order-1").pid not in (before, None))
    await healed(shop)
    assert await is_paid(client, orders[2])


async def test_a_heal_starts_a_node_also_without_respawns(tmp_path: Path) -> None:
    """The heal comes so soon after the kill that the kill has had no effect yet."""

    async def serves() -> bool:
        return True

    sleeps = (sys.executable, "-c", "import time; time.sleep(60)")
    keeper = NodeSupervisor(
        NodeSpec("one", "service", "", "", 0, sleeps, {}, tmp_path / "log", serves), 0, lambda: None, ChildLife.begin
    )
    keeper.start()
    try:
        await keeper.serving(10)
        first = keeper.identity
        keeper.kill(stay_down=True)
        keeper.revive()
        await until(lambda: keeper.identity not in (first, None))
        second = keeper.identity
        keeper.revive()  # it runs: left alone
        keeper.kill(stay_down=False)
        await until(lambda: keeper.identity is None)
        await asyncio.sleep(0.05)
        assert (keeper.state, keeper.identity) == ("down", None)
        keeper.revive()
        await until(lambda: keeper.identity not in (second, None))
    finally:
        await keeper.stop()
