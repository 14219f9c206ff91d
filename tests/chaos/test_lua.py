"""A real shop on one store: what a crash may not do to it, and that it remembers what it said."""

import asyncio

import pytest
import redis

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.service.codec import decode_result, encode_arguments
from tests.chaos.siege import Besieged
from tests.chaos.test_shop import quiet, sells_what_there_is, take_down
from tests.contract.acts import credit_of, is_paid, item, order, state, stock_of, user
from tests.runtimes import DOCKER, deployment

SLOW = pytest.mark.slow


def spec(**changes: object) -> Spec:
    return Spec(**{"protocol": "lua", "respawn_after_s": 0.2, "time_limit_s": 8.0, **changes})  # type: ignore[arg-type]


@SLOW
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_thousand_checkouts_at_once_of_one_item(workers: int) -> None:
    async with LocalDeployment(spec(workers=workers, time_limit_s=30.0)) as shop, ShopClient(shop.url, 40.0) as client:
        await sells_what_there_is(client)


@pytest.mark.parametrize(
    ("runtime", "workers", "victims"),
    [
        pytest.param("local", 1, ["order-1", "order-store"], marks=SLOW, id="local"),
        pytest.param("local", 2, ["order-store", "payment-1", "order-2", "order-store"], marks=SLOW, id="local, 2"),
        pytest.param("docker", 1, ["order-1", "order-store"], marks=DOCKER.marks, id="docker"),
    ],
)
async def test_kills_under_load_lose_nothing(runtime: str, workers: int, victims: list[str]) -> None:
    async with deployment(runtime, spec(workers=workers)) as shop, ShopClient(shop.url) as client:
        siege = await Besieged(shop, client, quiet).run(victims)
    assert siege.outcomes["ok"] > 100
    assert (siege.sold, siege.spent) == (2 * siege.paid, siege.charged)
    assert (siege.untrue, siege.stuck) == (0, 0)


@pytest.mark.parametrize("runtime", [pytest.param("local", marks=SLOW, id="local"), DOCKER])
async def test_it_has_one_store(runtime: str) -> None:
    async with deployment(runtime, spec(workers=2)) as shop, ShopClient(shop.url) as client:
        nodes = [node.name for node in shop.nodes()]
        assert nodes == [
            "order-store",
            *(f"{one}-{at}" for one in ("order", "stock", "payment") for at in (1, 2)),
            "gateway",
        ]
        await client.need("find_user", await user(client, 3))


@pytest.mark.parametrize(
    "failpoint",
    [
        pytest.param(f"order:{name}", marks=SLOW)
        for name in ("after-persist:checkout", "before-persist:checkout", "after-reply:committed")
    ],
)
async def test_a_crash_between_two_effects_is_repaired(failpoint: str) -> None:
    """The process dies exactly there, once: the order is paid, or repeating the checkout pays it, once."""
    async with LocalDeployment(spec(crash_at=failpoint)) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9, price=2), await user(client, 9)
        placed = await order(client, buyer, (name, 2))
        first_life = shop.node("order-1").pid
        assert (await client.call("checkout", placed)).outcome != "fail"
        while shop.node("order-1").pid in (first_life, None):
            await asyncio.sleep(0.02)
        await shop.serving("order-1")
        assert (await client.call("checkout", placed)).status == 200
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [7], "credit": 5}


async def test_a_checkout_waits_for_the_store_and_then_completes() -> None:
    async with LocalDeployment(spec()) as shop, ShopClient(shop.url) as client:
        assert [node.name for node in shop.nodes() if node.kind == "store"] == ["order-store"]
        name, buyer = await item(client, 9), await user(client, 9)
        placed = await order(client, buyer, (name, 1))
        await take_down(shop, "order-store")
        checkout = asyncio.ensure_future(client.call("checkout", placed))
        done, _ = await asyncio.wait((checkout,), timeout=1.0)
        assert not done
        await shop.restart("order-store")
        assert (await checkout).status == 200
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [8], "credit": 8}


@SLOW
async def test_the_store_remembers_its_functions_and_its_verdicts() -> None:
    """After a restart that no service has seen yet: a copy of a refused checkout that comes late is refused again."""
    async with LocalDeployment(spec()) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9), await user(client, 1)
        placed = await order(client, buyer, (name, 2))
        store = redis.Redis.from_url(shop.store_url("order"))
        copy = encode_arguments(0, ("late.7", placed))
        assert decode_result(store.fcall("wdm_checkout", 0, copy)) == ("no", f"short:user:{buyer}")
        await client.need("add_funds", buyer, 9)
        for service in ("order-1", "stock-1", "payment-1"):
            await take_down(shop, service)
        await shop.restart("order-store")
        assert decode_result(store.fcall("wdm_checkout", 0, copy)) == ("no", f"short:user:{buyer}")
        store.close()
        for service in ("order-1", "stock-1", "payment-1"):
            await shop.restart(service)
        assert not await is_paid(client, placed)
        assert (await client.call("checkout", placed)).status == 200
        assert (await stock_of(client, name), await credit_of(client, buyer)) == (7, 8)
