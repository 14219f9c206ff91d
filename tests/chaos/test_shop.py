"""A real shop under load, and what a crash of any of its nodes may not do to it. The same on every runtime."""

import asyncio
import time

import aiohttp
import pytest

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import Response, ShopClient
from tests.chaos.siege import RUSH_STOCK, RUSH_USERS, Besieged, rush_of
from tests.contract.acts import credit_of, is_paid, item, order, state, stock_of, user
from tests.runtimes import DOCKER, EVERY_RUNTIME, deployment


def quiet(_: str) -> None:
    pass


async def sells_what_there_is(client: ShopClient) -> None:
    """A thousand checkouts at once of one item: as many are acknowledged as there were pieces, and none ends in an error."""
    rush = await rush_of(client, quiet)
    assert dict(rush.outcomes) == {"ok": RUSH_STOCK, "fail": RUSH_USERS - RUSH_STOCK}
    assert (rush.sold, rush.spent, rush.paid, rush.errors) == (RUSH_STOCK, RUSH_STOCK, RUSH_STOCK, 0)


def spec(**changes: object) -> Spec:
    return Spec(**{"protocol": "2pc", "respawn_after_s": 0.2, "time_limit_s": 8.0, **changes})  # type: ignore[arg-type]


SLOW = pytest.mark.slow


def local(*values: object, slow: bool = True) -> object:
    return pytest.param("local", *values, marks=SLOW if slow else ())


def docker(*values: object, slow: bool = False) -> object:
    return pytest.param("docker", *values, marks=(*DOCKER.marks, *([SLOW] if slow else [])))


@pytest.mark.parametrize(("runtime", "workers"), [local(1), local(2), local(4), docker(1)])
async def test_a_thousand_checkouts_at_once_of_one_item(runtime: str, workers: int) -> None:
    made = deployment(runtime, spec(workers=workers, time_limit_s=30.0))
    async with made as shop, ShopClient(shop.url, 40.0) as client:
        await sells_what_there_is(client)


@SLOW
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_thousand_at_once_reserve_the_stock_and_no_more(workers: int) -> None:
    made = deployment("local", spec(workers=workers, time_limit_s=30.0, options={"locks": "escrow"}))
    async with made as shop, ShopClient(shop.url, 40.0) as client:
        await sells_what_there_is(client)


@SLOW
async def test_kills_lose_no_reservation() -> None:
    async with deployment("local", spec(options={"locks": "escrow"})) as shop, ShopClient(shop.url) as client:
        siege = await Besieged(shop, client, quiet).run(["stock-1", "order-1", "stock-store", "payment-store"])
        # No amount is reserved any more: the whole stock can be taken.
        for number in range(3):
            there = await client.need("find_item", str(number))
            await client.need("subtract_stock", str(number), there["stock"])
    assert siege.outcomes["ok"] > 100
    assert (siege.sold, siege.spent) == (2 * siege.paid, siege.charged)
    assert (siege.untrue, siege.stuck) == (0, 0)


@pytest.mark.parametrize(
    ("runtime", "workers", "victims"),
    [
        local(1, ["order-1", "stock-store"]),
        local(1, ["order-store", "payment-1", "stock-1", "payment-store"]),
        local(2, ["payment-2", "order-2", "stock-store"]),
        docker(2, ["payment-2", "order-1", "stock-store"], slow=True),
    ],
)
async def test_kills_under_load_lose_nothing(runtime: str, workers: int, victims: list[str]) -> None:
    async with deployment(runtime, spec(workers=workers)) as shop, ShopClient(shop.url) as client:
        siege = await Besieged(shop, client, quiet).run(victims)
    assert siege.outcomes["ok"] > 100
    assert (siege.sold, siege.spent) == (2 * siege.paid, siege.charged)
    assert (siege.untrue, siege.stuck) == (0, 0)


FAILPOINTS = ("order:after-persist:commit", "stock:after-persist:prepare")
MORE_FAILPOINTS = (
    "order:before-persist:commit",
    "order:after-do:open",
    "order:after-send:prepare",
    "order:after-reply:committed",
    "order:after-do:end",
    "stock:after-send:vote",
    "payment:before-persist:apply",
    "payment:after-persist:apply",
)


@pytest.mark.parametrize(
    ("runtime", "failpoint"),
    [
        local(FAILPOINTS[0], slow=False),
        *(local(name) for name in (*FAILPOINTS[1:], *MORE_FAILPOINTS)),
        *(docker(name) for name in FAILPOINTS[:1]),
        *(docker(name, slow=True) for name in (*FAILPOINTS[1:], *MORE_FAILPOINTS)),
    ],
)
async def test_a_crash_between_two_effects_is_repaired(runtime: str, failpoint: str) -> None:
    """The process dies exactly there, once, and comes back: the order is paid, or repeating the checkout pays it, once."""
    async with deployment(runtime, spec(crash_at=failpoint)) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9, price=2), await user(client, 9)
        placed = await order(client, buyer, (name, 2))
        victim = f"{failpoint.partition(':')[0]}-1"
        first_life = shop.node(victim).pid
        response = await client.call("checkout", placed)
        assert response.outcome != "fail"
        while shop.node(victim).pid in (first_life, None):
            await asyncio.sleep(0.02)
        await shop.serving(victim)
        assert (await client.call("checkout", placed)).status == 200
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [7], "credit": 5}
        assert await rests(shop)


async def take_down(shop: LocalDeployment, name: str) -> None:
    """Return once it is down: an engine takes a moment to kill."""
    shop.kill(name, stay_down=True)
    async with asyncio.timeout(5):
        while shop.node(name).state != "down":
            await asyncio.sleep(0.01)


async def rests(shop: LocalDeployment) -> bool:
    """Whether nothing is unfinished anywhere within two seconds."""
    deadline = time.monotonic() + 2.0
    async with aiohttp.ClientSession(headers={"x-wdm-secret": shop.secret}) as session:
        while time.monotonic() < deadline:
            left = 0
            for service in ("order", "stock", "payment"):
                async with session.get(f"{shop.node(service + '-1').url}/internal/txns") as response:
                    left += len(await response.json())
            if not left:
                return True
            await asyncio.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("runtime", "victim"),
    [
        *(local(name) for name in ("stock-store", "payment-1", "stock-1", "payment-store")),
        docker("stock-store"),
        *(docker(name, slow=True) for name in ("payment-1", "stock-1", "payment-store")),
    ],
)
async def test_a_checkout_waits_for_what_is_down_and_then_completes(runtime: str, victim: str) -> None:
    async with deployment(runtime, spec()) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9), await user(client, 9)
        placed = await order(client, buyer, (name, 1))
        await take_down(shop, victim)
        checkout = asyncio.ensure_future(client.call("checkout", placed))
        done, _ = await asyncio.wait((checkout,), timeout=1.0)
        assert not done
        await shop.restart(victim)
        assert (await checkout).status == 200
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [8], "credit": 8}


@SLOW
@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
async def test_a_checkout_that_waits_too_long_did_not_happen(runtime: str) -> None:
    async with deployment(runtime, spec(time_limit_s=2.0)) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9), await user(client, 9)
        placed = await order(client, buyer, (name, 1))
        await take_down(shop, "payment-1")
        response = await client.call("checkout", placed)
        assert (response.status, "nothing happened" in str(response.value)) == (409, True)
        await shop.restart("payment-1")
        assert not await is_paid(client, placed)
        assert (await stock_of(client, name), await credit_of(client, buyer)) == (9, 9)
        assert (await client.call("checkout", placed)).status == 200


@SLOW
@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
async def test_a_lost_reply_charges_once(runtime: str) -> None:
    async with deployment(runtime, spec()) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 50), await user(client, 50)
        for number in range(20):
            placed = await order(client, buyer, (name, 1))
            async with ShopClient(shop.url, timeout_s=0.0005 * (number + 1)) as hasty:
                await hasty.call("checkout", placed)  # hangs up at once, or a little later
            assert (await client.call("checkout", placed)).status == 200
        assert (await stock_of(client, name), await credit_of(client, buyer)) == (30, 30)


@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
async def test_a_terminated_service_answers_its_requests_and_ends(runtime: str) -> None:
    async with deployment(runtime, spec(respawn_after_s=0.0)) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 50), await user(client, 50)
        placed = await order(client, buyer, (name, 1))
        await take_down(shop, "payment-1")
        checkout: asyncio.Future[Response] = asyncio.ensure_future(client.call("checkout", placed))
        await asyncio.sleep(0.2)  # it is waiting for payment now
        shop.terminate("order-1")
        await asyncio.sleep(0.5)  # longer than a process without requests needs to end
        assert shop.node("order-1").pid is not None
        await shop.restart("payment-1")
        assert (await checkout).status == 200
        await ended(shop, "order-1", 5.0)


@SLOW
@pytest.mark.parametrize("runtime", EVERY_RUNTIME)
async def test_a_terminated_service_ends_at_the_time_limit_of_its_requests(runtime: str) -> None:
    quick = spec(respawn_after_s=0.0, time_limit_s=1.0)
    async with deployment(runtime, quick) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 50), await user(client, 50)
        placed = await order(client, buyer, (name, 1))
        await take_down(shop, "payment-1")
        checkout: asyncio.Future[Response] = asyncio.ensure_future(client.call("checkout", placed))
        await asyncio.sleep(0.2)
        shop.terminate("order-1")
        await ended(shop, "order-1", 2.5 if runtime == "local" else 5.0)  # an engine takes its time to say so
        assert (await checkout).status in (409, 424)


async def ended(shop: LocalDeployment, name: str, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while shop.node(name).pid is not None:
            await asyncio.sleep(0.01)
