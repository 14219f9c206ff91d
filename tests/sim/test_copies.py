"""Copies of a checkout at two instances: one of them is dead and stays away, or both live and are slow."""

import asyncio
from random import Random

import pytest

from harness.runtimes.base import Rule
from harness.runtimes.sim.client import TARGETS
from harness.runtimes.sim.simulation import Simulation
from harness.workload.client import Response
from protocols.service.faults import Faults
from protocols.shop.request_context import Answer
from tests.chaos.one_order import OneOrder
from tests.sim.conftest import simulate

SOON_S = 1.0
SLOW_MS = 600
"""The delay of a message: longer than the pause between two sweeps, so that an adopted transaction is recovered while it runs."""
FAILPOINTS = [
    *(("2pc", f"order:{point}") for point in ("after-do:open", "after-send:prepare", "before-persist:commit")),
    *(("saga", f"order:{point}") for point in ("after-do:begin", "after-send:perform", "before-persist:confirm")),
]


def dies_at(protocol: str, failpoint: str) -> tuple[Response, float]:
    """Return the answer to a checkout whose instance dies at the failpoint, and the seconds until the answer."""
    answers = []

    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            order = await OneOrder(client).make()
            assert (await client.call("add_item", order.name, order.items[0], 1)).outcome == "ok"
            await shop.disturb("crash", ("order-1",), Faults(crash_at={failpoint: 1}))
            began = shop.world.loop.time()
            answers.append((await client.call("checkout", order.name), shop.world.loop.time() - began))
            assert [node.name for node in shop.nodes() if node.state == "down"] == ["order-1"]
            assert await order.charged()

    simulate(play, protocol=protocol, workers=2, respawn_after_s=60)
    return answers[0]


@pytest.mark.parametrize(("protocol", "failpoint"), FAILPOINTS)
def test_a_copy_adopts_the_transaction_of_the_dead_instance(protocol: str, failpoint: str) -> None:
    answer, took_s = dies_at(protocol, failpoint)
    assert answer.outcome == "ok"
    assert took_s < SOON_S


async def copy(shop: Simulation, instance: int, order: str) -> Answer | None:
    """Send a copy of one request to an instance, and return its answer."""
    answer: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
    process = shop._processes["order"][instance]
    process.request(TARGETS["checkout"].handler, {"order": order}, answer.set_result, "k")
    return await answer


@pytest.mark.parametrize("protocol", ["2pc", "saga"])
def test_two_living_copies_do_not_end_each_other(protocol: str) -> None:
    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            order = await OneOrder(client).make()
            assert (await client.call("add_item", order.name, order.items[0], 1)).outcome == "ok"
            slow = [link for link in shop.links() if {name.partition("-")[0] for name in link} == {"order", "stock"}]
            shop.apply_rule("slow", slow, Rule(delay_ms=SLOW_MS), Random(1))
            first = asyncio.create_task(copy(shop, 0, order.name))
            await asyncio.sleep(0.1)
            answers = [await copy(shop, 1, order.name), await first]
            assert [answer and answer.status for answer in answers] == [200, 200]
            assert await order.charged()

    simulate(play, protocol=protocol, workers=2)
