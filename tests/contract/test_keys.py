"""Requests with an idempotency key: all copies are one request, over every gateway, protocol and transport."""

import asyncio
import secrets

import pytest

from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from protocols.shop.idempotency_key import KEY_HEADER, LONGEST_KEY
from tests.contract.acts import credit_of, is_paid, item, order, stock_of, user
from tests.contract.test_api import fetch

pytestmark = pytest.mark.asyncio(loop_scope="session")

COPIES = 8


async def send(shop: LocalDeployment, path: str, key: str, method: str = "POST") -> tuple[int, str]:
    return await fetch(shop.url + path, method, **{KEY_HEADER: key})


async def copies_of(shop: LocalDeployment, path: str, method: str = "POST") -> tuple[int, str]:
    """Send copies at once, and one later; return the answer that all of them got."""
    key = secrets.token_hex(8)
    answers = await asyncio.gather(*(send(shop, path, key, method) for _ in range(COPIES)))
    answers.append(await send(shop, path, key, method))
    assert len(set(answers)) == 1, answers
    return answers[0]


async def test_copies_of_a_deposit_are_one_deposit(shop: LocalDeployment, client: ShopClient) -> None:
    name = await user(client, 1)
    assert (await copies_of(shop, f"/payment/add_funds/{name}/5"))[0] == 200
    assert (await copies_of(shop, f"/payment/pay/{name}/2"))[0] == 200
    assert await credit_of(client, name) == 4
    goods = await item(client, 10)
    assert (await copies_of(shop, f"/stock/add/{goods}/5"))[0] == 200
    assert (await copies_of(shop, f"/stock/subtract/{goods}/2"))[0] == 200
    assert await stock_of(client, goods) == 13


@pytest.mark.parametrize("path", ["/payment/create_user", "/stock/item/create/3", "/orders/create/somebody"])
async def test_copies_of_a_creation_name_one_object(shop: LocalDeployment, path: str) -> None:
    assert (await copies_of(shop, path))[0] == 200


async def test_copies_of_changes_of_an_order_are_one_change(shop: LocalDeployment, client: ShopClient) -> None:
    goods = await item(client, 10)
    name = await order(client, "u")
    assert (await copies_of(shop, f"/orders/addItem/{name}/{goods}/2"))[0] == 200
    assert (await copies_of(shop, f"/orders/addItem/{name}/{goods}"))[0] == 200
    assert (await client.need("find_order", name))["items"] == [[goods, 2], [goods, 1]]
    assert (await copies_of(shop, f"/orders/removeItem/{name}/{goods}", "DELETE"))[0] == 200
    assert (await client.need("find_order", name))["items"] == [[goods, 1]]
    assert (await copies_of(shop, f"/orders/remove/{name}", "DELETE"))[0] == 200


async def test_copies_of_a_checkout_are_one_checkout(shop: LocalDeployment, client: ShopClient) -> None:
    goods, buyer = await item(client, 10, price=2), await user(client, 10)
    name = await order(client, buyer, (goods, 3))
    assert await copies_of(shop, f"/orders/checkout/{name}") == (200, "paid")
    assert (await stock_of(client, goods), await credit_of(client, buyer)) == (7, 4)


async def test_a_rejection_is_final_for_its_key(shop: LocalDeployment, client: ShopClient) -> None:
    """A copy that is late must not have the effect of a request that was rejected."""
    goods, buyer = await item(client, 10, price=2), await user(client, 0)
    name = await order(client, buyer, (goods, 3))
    requests = {f"/payment/pay/{buyer}/1": "pay-", f"/orders/checkout/{name}": "checkout-"}
    keys = {path: prefix + secrets.token_hex(8) for path, prefix in requests.items()}
    before = [await send(shop, path, key) for path, key in keys.items()]
    assert [status for status, _ in before] == [409, 409]
    await client.need("add_funds", buyer, 10)
    assert [await send(shop, path, key) for path, key in keys.items()] == before
    assert not await is_paid(client, name)
    assert await send(shop, f"/orders/checkout/{name}", secrets.token_hex(8)) == (200, "paid")
    assert await credit_of(client, buyer) == 4


async def test_a_key_of_another_request_is_refused(shop: LocalDeployment, client: ShopClient) -> None:
    key, buyer = secrets.token_hex(8), await user(client, 5)
    assert (await send(shop, f"/payment/pay/{buyer}/1", key))[0] == 200
    for path in (f"/payment/pay/{buyer}/2", f"/payment/add_funds/{buyer}/1", "/payment/create_user"):
        status, body = await send(shop, path, key)
        assert status == 422
        assert key in body
    assert await credit_of(client, buyer) == 4


@pytest.mark.parametrize("key", ["two words", "k" * (LONGEST_KEY + 1), '"', "a\\b"])
async def test_a_malformed_key_is_refused(shop: LocalDeployment, client: ShopClient, key: str) -> None:
    buyer = await user(client, 5)
    status, body = await send(shop, f"/payment/pay/{buyer}/1", key)
    assert status == 400
    assert "idempotency key" in body
    assert await credit_of(client, buyer) == 5


async def test_the_quotes_of_a_key_do_not_matter(shop: LocalDeployment, client: ShopClient) -> None:
    key, buyer = secrets.token_hex(8), await user(client, 5)
    for written in (key, f'"{key}"'):
        assert (await send(shop, f"/payment/pay/{buyer}/1", written))[0] == 200
    assert await credit_of(client, buyer) == 4
