"""Real shops whose services talk over brokers: any protocol over any transport, and what a broker's death does."""

import asyncio
import time
from dataclasses import replace
from random import Random

import aiohttp
import pytest

from harness import faults
from harness.run import in_memory, scenarios
from harness.run.plan import Plan
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.brokers import missing
from tests.chaos.test_shop import rests, sells_what_there_is
from tests.contract.acts import item, order, state, user
from tests.runtimes import DOCKER, deployment

pytestmark = pytest.mark.broker

SLOW = pytest.mark.slow
PLACES = (
    *(pytest.param("local", name, id=f"local-{name}") for name in ("streams", "rabbitmq", "kafka")),
    pytest.param("docker", "streams", id="docker-streams", marks=DOCKER.marks),
    *(pytest.param("docker", name, id=f"docker-{name}", marks=(*DOCKER.marks, SLOW)) for name in ("rabbitmq", "kafka")),
)


def shop_on(runtime: str, transport: str, **changes: object) -> LocalDeployment:
    if runtime == "local":
        missing(transport)
    settled = {"protocol": "saga", "transport": transport, "respawn_after_s": 0.2, "time_limit_s": 8.0, **changes}
    return deployment(runtime, Spec(**settled))  # type: ignore[arg-type]


@SLOW
@pytest.mark.parametrize(("runtime", "transport"), PLACES)
async def test_a_thousand_checkouts_at_once_of_one_item(runtime: str, transport: str) -> None:
    async with shop_on(runtime, transport, time_limit_s=40.0) as shop, ShopClient(shop.url, 50.0) as client:
        await sells_what_there_is(client)


@pytest.mark.parametrize("protocol", ["2pc", pytest.param("unprotected", marks=SLOW)])
@pytest.mark.parametrize(("runtime", "transport"), PLACES)
async def test_any_protocol_uses_any_transport(runtime: str, transport: str, protocol: str) -> None:
    async with shop_on(runtime, transport, protocol=protocol) as shop, ShopClient(shop.url) as client:
        name, buyer = await item(client, 9, price=2), await user(client, 5)
        placed, refused = await order(client, buyer, (name, 2)), await order(client, buyer, (name, 2))
        assert (await client.call("checkout", placed)).status == 200
        assert (await client.call("checkout", refused)).status == 409
        assert await rests(shop)
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [7], "credit": 1}


@pytest.mark.parametrize(("runtime", "transport"), PLACES)
async def test_a_checkout_waits_for_its_broker_and_services_answer_meanwhile(runtime: str, transport: str) -> None:
    async with shop_on(runtime, transport, time_limit_s=25.0) as shop, ShopClient(shop.url, 30.0) as client:
        name, buyer = await item(client, 9), await user(client, 9)
        placed = await order(client, buyer, (name, 2))
        await queues_may_be_killed(shop)
        shop.kill("broker", stay_down=True)
        await shop.settled()
        checkout = asyncio.ensure_future(client.call("checkout", placed))
        done, _ = await asyncio.wait((checkout,), timeout=1.0)
        assert not done
        assert await health_ms(shop) < 100
        await shop.restart("broker")
        assert (await checkout).status == 200
        assert await rests(shop)
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [7], "credit": 7}


async def queues_may_be_killed(shop: LocalDeployment) -> None:
    """RabbitMQ 3.10 writes the first term of a new quorum queue to the disk a second or two later, without notice: killed
    before, it never elects a leader for that queue again.
    """
    if shop.spec.transport == "rabbitmq":
        await asyncio.sleep(4)


async def health_ms(shop: LocalDeployment) -> float:
    """The slowest of a few looks at each service."""
    slowest = 0.0
    async with aiohttp.ClientSession() as session:
        for service in ("order", "stock", "payment") * 5:
            started = time.monotonic()
            async with session.get(f"{shop.node(f'{service}-1').url}/health") as response:
                assert response.status == 200
            slowest = max(slowest, (time.monotonic() - started) * 1000)
    return slowest


@pytest.mark.parametrize(("runtime", "transport"), PLACES)
def test_injected_poison_is_the_only_dead_letter_and_stops_no_other_message(runtime: str, transport: str) -> None:
    if runtime == "local":
        missing(transport)
    scenario = replace(scenarios.load("poison"), duration_s=8.0)
    found = in_memory.run(Plan(scenario, "saga", 1, transport=transport, runtime=runtime))
    assert (found.judgement.verdict, found.judgement.reasons) == ("holds", ())
    (letters,) = (each.finding for each in found.judgement.results if each.checker == "dead-letters")
    assert letters.figures["planted"] >= 5
    assert letters.figures["others"] == 0


FAULTS = {"pause": ("broker",), "partition": ("services<->broker",), "loss": ("services<->broker",)}


@SLOW
@pytest.mark.parametrize(("runtime", "transport"), PLACES)
async def test_a_checkout_outlasts_faults_on_the_way_to_the_broker(runtime: str, transport: str) -> None:
    """Frozen, cut off, and with connections that break at random: each begins while a checkout is under way, and ends."""
    deployed = shop_on(runtime, transport, time_limit_s=25.0, breakable=True)
    async with deployed as shop, ShopClient(shop.url, 30.0) as client:
        name, buyer = await item(client, 99), await user(client, 99)
        await queues_may_be_killed(shop)
        for number, (kind, targets) in enumerate(FAULTS.items(), start=1):
            placed = await order(client, buyer, (name, 2))
            settings = {"probability": 0.3} if kind == "loss" else {}
            begun, _ = await faults.start(shop, faults.fault(kind, targets, settings=settings), Random(number))
            checkout = asyncio.ensure_future(client.call("checkout", placed))
            await asyncio.wait((checkout,), timeout=2.0)
            assert await health_ms(shop) < 100
            await faults.end(shop, begun)
            assert (await checkout).status == 200, kind
            assert await state(client, placed, [name], buyer) == {
                "paid": True,
                "stock": [99 - 2 * number],
                "credit": 99 - 2 * number,
            }


@SLOW
@pytest.mark.parametrize(("runtime", "transport"), PLACES)
async def test_two_instances_share_the_work_and_one_may_die_for_good(runtime: str, transport: str) -> None:
    """Its partitions, its entries and its deliveries go to the other one; its sagas, once they are old, as well."""
    async with (
        shop_on(runtime, transport, workers=2, respawn_after_s=0.0) as shop,
        ShopClient(shop.url, 15) as client,
    ):
        name, buyer = await item(client, 99), await user(client, 99)
        for _ in range(4):
            assert (await client.call("checkout", await order(client, buyer, (name, 1)))).status == 200
        for victim in ("stock-1", "payment-2"):
            shop.kill(victim, stay_down=True)
        responses = [await client.call("checkout", await order(client, buyer, (name, 1))) for _ in range(4)]
        deadline = time.monotonic() + 20.0
        while (await client.call("checkout", await order(client, buyer, (name, 1)))).status != 200:
            assert time.monotonic() < deadline
        assert "unknown" not in {response.outcome for response in responses}
