"""A real shop on sagas: what a crash may not do to it, and what it shows that a lock would hide."""

import asyncio
import time

import pytest

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.chaos.siege import Besieged
from tests.chaos.test_shop import quiet, rests, sells_what_there_is
from tests.contract.acts import credit_of, is_paid, item, order, state, stock_of, user

SLOW = pytest.mark.slow
WITHIN_S = 5.0


def spec(**changes: object) -> Spec:
    return Spec(**{"protocol": "saga", "respawn_after_s": 0.2, "time_limit_s": 8.0, **changes})  # type: ignore[arg-type]


@SLOW
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_thousand_checkouts_at_once_of_one_item(workers: int) -> None:
    async with LocalDeployment(spec(workers=workers, time_limit_s=30.0)) as shop, ShopClient(shop.url, 40.0) as client:
        await sells_what_there_is(client)


@SLOW
@pytest.mark.parametrize("workers", [1, 2])
async def test_kills_under_load_lose_nothing(workers: int) -> None:
    victims = ["order-1", "stock-store", "order-store", "payment-1", "stock-1", "payment-store"]
    async with LocalDeployment(spec(workers=workers)) as shop, ShopClient(shop.url) as client:
        siege = await Besieged(shop, client, quiet).run(victims)
    assert siege.outcomes["ok"] > 100
    assert (siege.sold, siege.spent) == (2 * siege.paid, siege.charged)
    assert (siege.untrue, siege.stuck) == (0, 0)


FAILPOINTS = ("order:after-persist:confirm", "stock:after-persist:perform")
MORE_FAILPOINTS = (
    "order:after-do:begin",
    "order:before-persist:confirm",
    "order:after-send:perform",
    "order:after-reply:committed",
    "order:after-do:note",
    "payment:after-send:performed",
)


@pytest.mark.parametrize("failpoint", [pytest.param(name, marks=SLOW) for name in (*FAILPOINTS, *MORE_FAILPOINTS)])
async def test_a_crash_between_two_effects_is_repaired(failpoint: str) -> None:
    """The process dies exactly there, once, and comes back: the order is paid, or repeating the checkout pays it, once."""
    async with LocalDeployment(spec(crash_at=failpoint)) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9, price=2), await user(client, 9)
        placed = await order(client, buyer, (name, 2))
        victim = f"{failpoint.partition(':')[0]}-1"
        first_life = shop.node(victim).pid
        assert (await client.call("checkout", placed)).outcome != "fail"
        while shop.node(victim).pid in (first_life, None):
            # A checkout that was too slow for its limit has not passed the failpoint.
            await client.call("checkout", placed)
            await asyncio.sleep(0.02)
        await shop.serving(victim)
        assert (await client.call("checkout", placed)).status == 200
        assert await rests(shop)
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [7], "credit": 5}


COMPENSATIONS = ("order:after-persist:abort_saga", "stock:after-persist:compensate", "order:before-do:end")


@pytest.mark.parametrize(
    "failpoint", [COMPENSATIONS[0], *(pytest.param(name, marks=SLOW) for name in COMPENSATIONS[1:])]
)
async def test_a_crash_on_the_way_back_is_repaired(failpoint: str) -> None:
    """What was reserved comes back, and with enough credit the same order checks out."""
    async with LocalDeployment(spec(crash_at=failpoint)) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9, price=2), await user(client, 3)
        placed = await order(client, buyer, (name, 2))
        assert (await client.call("checkout", placed)).outcome != "ok"
        await shop.serving(f"{failpoint.partition(':')[0]}-1")
        await client.need("add_funds", buyer, 1)
        assert (await client.call("checkout", placed)).status == 200
        assert await rests(shop)
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [7], "credit": 0}


@SLOW
async def test_a_reservation_is_seen_and_comes_back_when_time_is_up() -> None:
    async with LocalDeployment(spec(time_limit_s=2.0)) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9), await user(client, 9)
        placed = await order(client, buyer, (name, 2))
        shop.kill("payment-1", stay_down=True)
        checkout = asyncio.ensure_future(client.call("checkout", placed))
        await until(lambda: stock_is(client, name, 7))
        response = await checkout
        assert (response.status, "nothing happened" in str(response.value)) == (409, True)
        await shop.restart("payment-1")
        await until(lambda: stock_is(client, name, 9))
        assert (await is_paid(client, placed), await credit_of(client, buyer)) == (False, 9)
        assert (await client.call("checkout", placed)).status == 200
        assert await stock_of(client, name) == 7


async def stock_is(client: ShopClient, name: str, amount: int) -> bool:
    return await stock_of(client, name) == amount


async def until(happened: object) -> None:
    """Raises ``AssertionError`` if it does not within some seconds."""
    deadline = time.monotonic() + WITHIN_S
    while not await happened():  # type: ignore[operator]
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


@SLOW
async def test_an_accepted_checkout_is_done_later_also_after_a_crash() -> None:
    async with LocalDeployment(spec(options={"reply": "accepted"})) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9), await user(client, 9)
        placed, refused = await order(client, buyer, (name, 2)), await order(client, buyer, (name, 8))
        shop.kill("stock-1", stay_down=True)
        response = await client.call("checkout", placed)
        assert (response.outcome, response.status, response.value["ask"]) == ("unknown", 202, f"/orders/find/{placed}")
        shop.kill("order-1")
        await shop.restart("stock-1")
        await shop.serving("order-1")
        await until(lambda: is_paid(client, placed))
        assert (await client.call("checkout", placed)).status == 200
        assert (await client.call("checkout", refused)).status == 202
        assert await rests(shop)
        assert await state(client, refused, [name], buyer) == {"paid": False, "stock": [7], "credit": 7}
