"""A broker of three nodes: any one of them may be away for long, and no checkout fails meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from harness.runtimes.deployment import process
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import Response, ShopClient
from tests.brokers import missing
from tests.contract.acts import credit_of, item, order, stock_of, user

pytestmark = [pytest.mark.slow, pytest.mark.broker]
NODES = ("broker-1", "broker-2", "broker-3")
AWAY_S = 5.0


class Sales:
    """Clients that check out one order after the other. `answers`: those of the checkouts."""

    def __init__(self, client: ShopClient, good: str, buyer: str) -> None:
        self.answers: list[Response] = []
        self._client, self._good, self._buyer = client, good, buyer
        self._over = False

    async def _shops(self) -> None:
        while not self._over:
            placed = await order(self._client, self._buyer, (self._good, 1))
            self.answers.append(await self._client.call("checkout", placed))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            for _ in range(6):
                group.create_task(self._shops())
            try:
                yield
            finally:
                self._over = True

    async def go_on(self, count: int, within_s: float = 15.0) -> None:
        """Wait for this many answers from now on."""
        wanted = len(self.answers) + count
        async with asyncio.timeout(within_s):
            while len(self.answers) < wanted:
                await asyncio.sleep(0.05)


def spec(transport: str, **changes: object) -> Spec:
    missing(transport)
    return Spec(protocol="saga", transport=transport, brokers=3, workers=2, respawn_after_s=0.0, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("transport", ["rabbitmq", "kafka"])
async def test_each_node_may_be_away_and_no_checkout_fails(transport: str) -> None:
    # A busy machine may need more than the usual 10 s: Kafka's nodes are slow to start, and take its processors meanwhile.
    patient = spec(transport, time_limit_s=30.0)
    async with LocalDeployment(patient) as shop, ShopClient(shop.url, 40.0) as client:
        good, buyer = await item(client, 100_000), await user(client, 100_000)
        sales = Sales(client, good, buyer)
        async with sales.open():
            await sales.go_on(20, within_s=40.0)
            for name in NODES:
                shop.kill(name, stay_down=True)
                await sales.go_on(20, within_s=40.0)
                await asyncio.sleep(AWAY_S)
                await sales.go_on(20, within_s=40.0)
                assert shop.node(name).state == "down"
                shop.revive(name)
                await shop.serving(name, 90.0)
                await sales.go_on(20, within_s=40.0)
        assert {(answer.outcome, answer.status) for answer in sales.answers} == {("ok", 200)}
        sold = len(sales.answers)
        assert (await stock_of(client, good), await credit_of(client, buyer)) == (100_000 - sold, 100_000 - sold)
        assert not await shop.dead_letters()


@pytest.mark.parametrize(("transport", "nodes"), [("rabbitmq", 1), ("rabbitmq", 3), ("kafka", 3)])
async def test_a_broker_with_data_serves_again_and_leaves_no_process_behind(
    transport: str, nodes: int, tmp_path: Path
) -> None:
    tags = []
    for _ in range(2):
        async with (
            LocalDeployment(replace(spec(transport), brokers=nodes), tmp_path) as shop,
            ShopClient(shop.url) as client,
        ):
            tags.append(shop.plan.tag)
            good, buyer = await item(client, 5), await user(client, 5)
            placed = await order(client, buyer, (good, 1))
            assert (await client.call("checkout", placed)).status == 200
        assert not [*process.tagged(tags[-1])]


async def test_a_paused_node_of_rabbitmq_does_not_stop_the_others() -> None:
    async with LocalDeployment(spec("rabbitmq", time_limit_s=30.0)) as shop, ShopClient(shop.url, 40.0) as client:
        good, buyer = await item(client, 100_000), await user(client, 100_000)
        sales = Sales(client, good, buyer)
        async with sales.open():
            await sales.go_on(20, within_s=40.0)
            for name in NODES:
                shop.pause(name)
                await sales.go_on(50, within_s=40.0)
                shop.resume(name)
                await sales.go_on(50, within_s=40.0)
        assert {answer.status for answer in sales.answers} == {200}
