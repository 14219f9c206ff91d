"""Clients that exist: the routes, bodies and statuses of the course's templates of 2021 to 2023, and of their tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.contract.acts import credit_of, item, order, stock_of, user
from tests.contract.test_api import fetch
from tests.runtimes import DOCKER, LOCAL, deployment

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_item_without_a_quantity_is_one(shop: LocalDeployment, client: ShopClient) -> None:
    name = await item(client, 5, price=3)
    placed = await order(client, "u", (name, 2))
    assert (await fetch(f"{shop.url}/orders/addItem/{placed}/{name}"))[0] == 200
    found = await client.need("find_order", placed)
    assert (found["items"], found["total_cost"]) == ([[name, 2], [name, 1]], 9)


async def test_a_payment_by_hand_is_taken_once_and_given_back_once(shop: LocalDeployment, client: ShopClient) -> None:
    buyer = await user(client, 15)
    placed = await order(client, buyer)
    pay, cancel = f"{shop.url}/payment/pay/{buyer}/{placed}", f"{shop.url}/payment/cancel/{buyer}/{placed}"
    assert (await fetch(cancel))[0] == 404
    assert (await fetch(f"{pay}/16"))[0] == 409
    for _ in range(2):
        assert (await fetch(f"{pay}/10"))[0] == 200
        assert await credit_of(client, buyer) == 5
    assert (await fetch(f"{pay}/4"))[0] == 409
    for method in ("GET", "POST"):
        assert await fetch(f"{shop.url}/payment/status/{buyer}/{placed}", method) == (200, '{"paid":true}')
    for _ in range(2):
        assert (await fetch(cancel))[0] == 200
        assert await credit_of(client, buyer) == 15
    assert await fetch(f"{shop.url}/payment/status/{buyer}/{placed}", "GET") == (200, '{"paid":false}')
    assert (await fetch(f"{shop.url}/payment/pay/nobody/{placed}/1"))[0] == 404
    assert (await fetch(f"{shop.url}/payment/cancel/nobody/{placed}"))[0] == 404


async def test_a_checkout_is_nothing_that_can_be_cancelled(shop: LocalDeployment, client: ShopClient) -> None:
    name, buyer = await item(client, 5, price=4), await user(client, 20)
    placed = await order(client, buyer, (name, 1))
    await client.need("checkout", placed)
    assert (await fetch(f"{shop.url}/payment/cancel/{buyer}/{placed}"))[0] == 404
    assert (await fetch(f"{shop.url}/payment/pay/{buyer}/{placed}/5"))[0] == 200
    for _ in range(2):
        assert (await fetch(f"{shop.url}/payment/cancel/{buyer}/{placed}"))[0] == 200
    assert (await credit_of(client, buyer), await stock_of(client, name)) == (16, 4)
    for path in (f"{buyer}/{placed}", placed):
        assert await fetch(f"{shop.url}/payment/status/{path}", "GET") == (200, '{"paid":true}')


# ---------------------------------------------------------------- statuses of the template


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=[LOCAL, DOCKER])
async def old_shop(request: pytest.FixtureRequest) -> AsyncIterator[LocalDeployment]:
    async with deployment(request.param, Spec(protocol="lua", statuses="course", time_limit_s=4.0)) as one:
        yield one


async def test_with_the_courses_statuses_every_failure_is_400(old_shop: LocalDeployment) -> None:
    async with ShopClient(old_shop.url) as client:
        name, buyer = await item(client, 1), await user(client, 1)
        placed = await order(client, buyer, (name, 2))
        for call in (
            ("find_order", "nothing"),
            ("find_item", "nothing"),
            ("find_user", "nothing"),
            ("add_item", placed, "nothing", 1),
            ("checkout", "nothing"),
            ("checkout", placed),
            ("subtract_stock", name, 2),
            ("pay", buyer, 2),
            ("add_stock", name, -1),
        ):
            response = await client.call(*call)  # type: ignore[arg-type]
            assert (response.outcome, response.status) == ("fail", 400), (call, response)
        await client.need("add_stock", name, 1)
        await client.need("add_funds", buyer, 1)
        await client.need("checkout", placed)
