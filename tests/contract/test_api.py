"""Every row and every status rule of the public HTTP contract, through the gateway of a real shop."""

import asyncio
from urllib.parse import quote

import aiohttp
import pytest

from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient, all_at_once
from protocols.core import Layout
from protocols.registry import load
from tests.contract.acts import LIMIT, credit_of, is_paid, item, order, state, stock_of, user

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def fetch(url: str, method: str = "POST", **headers: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as response:
        return response.status, await response.text()


# ---------------------------------------------------------------- each row, when all is well


async def test_a_new_item_has_its_price_and_no_stock(client: ShopClient) -> None:
    name = await client.need("create_item", 7)
    assert await client.need("find_item", name) == {"stock": 0, "price": 7}


async def test_stock_is_added_and_subtracted(client: ShopClient) -> None:
    name = await item(client, 10)
    await client.need("subtract_stock", name, 4)
    assert await stock_of(client, name) == 6


async def test_a_new_user_has_no_credit(client: ShopClient) -> None:
    name = await client.need("create_user")
    assert await client.need("find_user", name) == {"user_id": name, "credit": 0}


async def test_funds_are_added_and_paid(client: ShopClient) -> None:
    name = await user(client, 10)
    await client.need("pay", name, 4)
    assert await credit_of(client, name) == 6


async def test_a_new_order_is_empty_and_its_user_is_not_looked_up(client: ShopClient) -> None:
    name = await client.need("create_order", "nobody")
    found = {"order_id": name, "paid": False, "items": [], "user_id": "nobody", "total_cost": 0}
    assert await client.need("find_order", name) == found


async def test_an_added_item_is_in_the_order_and_in_its_total(client: ShopClient) -> None:
    name = await item(client, 5, price=3)
    placed = await order(client, "u", (name, 2), (name, 1))
    found = await client.need("find_order", placed)
    assert (found["items"], found["total_cost"]) == ([[name, 2], [name, 1]], 9)


async def test_a_checkout_takes_stock_and_credit_and_marks_the_order_paid(client: ShopClient) -> None:
    one, other, buyer = await item(client, 5, price=2), await item(client, 5, price=3), await user(client, 50)
    placed = await order(client, buyer, (one, 2), (other, 3))
    assert (await client.call("checkout", placed)).status == 200
    assert await state(client, placed, [one, other], buyer) == {"paid": True, "stock": [3, 2], "credit": 37}


async def test_batch_init_makes_numbered_items_users_and_orders(client: ShopClient) -> None:
    for operation, *args in (("init_items", 30, 9, 4), ("init_users", 20, 5), ("init_orders", 40, 30, 20, 4)):
        assert "msg" in await client.need(operation, *args)
    assert await client.need("find_item", 29) == {"stock": 9, "price": 4}
    assert await client.need("find_user", "19") == {"user_id": "19", "credit": 5}
    found = await client.need("find_order", 39)
    assert (found["paid"], found["total_cost"]) == (False, 8)
    assert [quantity for _, quantity in found["items"]] == [1, 1]
    assert {int(name) for name, _ in found["items"]} <= set(range(30))
    assert int(found["user_id"]) in range(20)
    assert (await client.call("find_item", 30)).status == 404


async def test_a_line_keeps_its_price_and_no_negative_order_is_paid(client: ShopClient) -> None:
    await client.need("init_items", 5, 100, 10)
    await client.need("init_users", 5, 1000)
    placed = await client.need("create_order", 0)
    await client.need("add_item", placed, 1, 2)
    await client.need("init_items", 5, 100, 100)
    await client.need("remove_item", placed, 1)
    assert (await client.need("find_order", placed))["total_cost"] == 0
    await client.need("add_item", placed, 1, 1)
    assert (await client.need("find_order", placed))["total_cost"] == 100
    await client.need("init_items", 5, 100, 1)
    await client.need("checkout", placed)
    assert await state(client, placed, ["1"], "0") == {"paid": True, "stock": [99], "credit": 900}


# ---------------------------------------------------------------- 4xx: definitely did not happen

UNKNOWN = (
    ("find_order", "nothing"),
    ("checkout", "nothing"),
    ("find_item", "nothing"),
    ("add_stock", "nothing", 1),
    ("subtract_stock", "nothing", 1),
    ("find_user", "nothing"),
    ("add_funds", "nothing", 1),
    ("pay", "nothing", 1),
)


@pytest.mark.parametrize("call", UNKNOWN, ids=lambda call: call[0])
async def test_an_unknown_id_is_named(client: ShopClient, call: tuple[str | int, ...]) -> None:
    response = await client.call(str(call[0]), *call[1:])
    assert response.status == 404
    assert "nothing" in str(response.value)


async def test_an_item_that_does_not_exist_is_not_added(client: ShopClient) -> None:
    placed = await order(client, "u")
    assert (await client.call("add_item", placed, "nothing", 1)).status == 404
    assert (await client.call("add_item", "nothing", await item(client, 1), 1)).status == 404
    assert (await client.need("find_order", placed))["items"] == []


NO_AMOUNT = ("-1", "1.5", "x", "1e3", "0x10", "+1", " 1", "1_0", "", "٣", str(LIMIT + 1), "9" * 40)


@pytest.mark.parametrize("text", NO_AMOUNT)
async def test_a_malformed_amount_is_refused_everywhere(client: ShopClient, text: str) -> None:
    name, buyer = await item(client, 5), await user(client, 5)
    placed = await order(client, buyer)
    calls = [("create_item", text), ("add_stock", name, text), ("subtract_stock", name, text)]
    calls += [("add_funds", buyer, text), ("pay", buyer, text), ("add_item", placed, name, text)]
    calls += [("init_items", text, 1, 1), ("init_users", 1, text), ("init_orders", 1, 1, text, 1)]
    for operation, *args in calls:
        response = await client.call(operation, *args)
        assert response.outcome == "fail", (operation, args, response)
        if text:  # an empty path segment is no route at all
            assert text in str(response.value)
    assert await state(client, placed, [name], buyer) == {"paid": False, "stock": [5], "credit": 5}


async def test_the_largest_amount_is_exact_and_no_balance_exceeds_it(client: ShopClient) -> None:
    name = await item(client, LIMIT - 1)
    await client.need("add_stock", name, 1)
    assert await stock_of(client, name) == LIMIT
    assert (await client.call("add_stock", name, 1)).outcome == "fail"
    assert await stock_of(client, name) == LIMIT


async def test_an_order_whose_total_would_exceed_the_largest_amount_is_refused(client: ShopClient) -> None:
    name = await item(client, 5, price=LIMIT)
    placed = await order(client, "u", (name, 1))
    assert (await client.call("add_item", placed, name, 1)).outcome == "fail"
    assert (await client.call("add_item", placed, name, LIMIT)).outcome == "fail"
    assert (await client.need("find_order", placed))["total_cost"] == LIMIT


async def test_nothing_goes_below_zero(client: ShopClient) -> None:
    name, buyer = await item(client, 3), await user(client, 3)
    assert (await client.call("subtract_stock", name, 4)).outcome == "fail"
    assert (await client.call("pay", buyer, 4)).outcome == "fail"
    assert (await stock_of(client, name), await credit_of(client, buyer)) == (3, 3)


@pytest.mark.parametrize(("stock", "credit"), [(1, 100), (100, 1), (1, 1)], ids=["stock", "credit", "both"])
async def test_a_checkout_without_stock_or_credit_changes_nothing_and_can_be_repeated(
    client: ShopClient, stock: int, credit: int
) -> None:
    plenty, scarce, buyer = await item(client, 100), await item(client, stock), await user(client, credit)
    placed = await order(client, buyer, (plenty, 2), (scarce, 2))
    response = await client.call("checkout", placed)
    assert response.outcome == "fail"
    assert scarce in str(response.value) or buyer in str(response.value)
    unchanged = {"paid": False, "stock": [100, stock], "credit": credit}
    assert await state(client, placed, [plenty, scarce], buyer) == unchanged
    await client.need("add_stock", scarce, 10)
    await client.need("add_funds", buyer, 10)
    assert (await client.call("checkout", placed)).status == 200
    after = {"paid": True, "stock": [98, stock + 8], "credit": credit + 6}
    assert await state(client, placed, [plenty, scarce], buyer) == after


async def test_a_checkout_for_a_user_who_does_not_exist_names_the_user(client: ShopClient) -> None:
    name = await item(client, 5)
    placed = await order(client, "nobody", (name, 1))
    response = await client.call("checkout", placed)
    assert (response.status, "nobody" in str(response.value)) == (404, True)
    assert await stock_of(client, name) == 5


# ---------------------------------------------------------------- checkouts


async def test_a_paid_order_is_not_charged_again(client: ShopClient) -> None:
    name, buyer = await item(client, 5), await user(client, 5)
    placed = await order(client, buyer, (name, 1))
    assert [(await client.call("checkout", placed)).status for _ in range(3)] == [200] * 3
    assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [4], "credit": 4}


async def test_checkouts_of_one_order_at_once_are_one_effect_and_one_answer(client: ShopClient) -> None:
    name, buyer = await item(client, 50), await user(client, 50)
    placed = await order(client, buyer, (name, 1))
    responses = await all_at_once(client, "checkout", [(placed,)] * 20)
    assert {response.status for response in responses} == {200}
    assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [49], "credit": 49}


async def test_quantities_of_the_same_item_add_up(client: ShopClient) -> None:
    name, buyer = await item(client, 5), await user(client, 50)
    placed = await order(client, buyer, (name, 3), (name, 3))
    assert (await client.call("checkout", placed)).outcome == "fail"
    await client.need("add_stock", name, 1)
    assert (await client.call("checkout", placed)).status == 200
    assert await stock_of(client, name) == 0


async def test_an_order_may_hold_many_items(client: ShopClient) -> None:
    names = [await item(client, 1) for _ in range(120)]
    buyer = await user(client, 120)
    placed = await order(client, buyer, *((name, 1) for name in names))
    assert (await client.call("checkout", placed)).status == 200
    assert await state(client, placed, names, buyer) == {"paid": True, "stock": [0] * 120, "credit": 0}


async def test_an_empty_order_checks_out_at_no_cost(client: ShopClient) -> None:
    placed = await order(client, "nobody")
    assert (await client.call("checkout", placed)).status == 200
    assert await is_paid(client, placed)


async def test_a_paid_order_takes_no_more_items(client: ShopClient) -> None:
    name, buyer = await item(client, 5), await user(client, 5)
    placed = await order(client, buyer, (name, 1))
    await client.need("checkout", placed)
    assert (await client.call("add_item", placed, name, 1)).outcome == "fail"
    assert (await client.need("find_order", placed))["total_cost"] == 1


async def test_an_order_takes_no_items_while_it_is_checked_out(shop: LocalDeployment, client: ShopClient) -> None:
    name, buyer = await item(client, 5), await user(client, 5)
    placed = await order(client, buyer, (name, 1))
    shop.pause("payment-1")
    await shop.settled()
    try:
        checkout = asyncio.ensure_future(client.call("checkout", placed))
        # The price of an item that is being bought would be answered when the checkout has ended.
        other = await item(client, 1)
        async with asyncio.timeout(10):
            while (response := await client.call("add_item", placed, other, 0)).outcome == "ok":
                await asyncio.sleep(0.01)
    finally:
        shop.resume("payment-1")
    # Where a checkout is one command on one store, it is over before anybody can look.
    why = "being checked out" if load(shop.spec.protocol).layout is Layout.SEPARATE else "the order is paid"
    assert (response.status, why in str(response.value)) == (409, True)
    assert (await checkout).status == 200


async def test_a_read_after_the_answer_sees_the_checkout(client: ShopClient) -> None:
    name, buyer = await item(client, 50), await user(client, 50)
    for sold in range(1, 31):
        placed = await order(client, buyer, (name, 1))
        await client.need("checkout", placed)
        assert await state(client, placed, [name], buyer) == {"paid": True, "stock": [50 - sold], "credit": 50 - sold}


async def test_opposite_orders_do_not_block_each_other(client: ShopClient) -> None:
    """Each takes two items and one of two users, in every order: the classic deadlock, a hundred times at once."""
    items = [await item(client, 1_000), await item(client, 1_000)]
    users = [await user(client, 1_000), await user(client, 1_000)]
    placed = []
    for number in range(100):
        lines = [(items[number % 2], 1), (items[1 - number % 2], 1)]
        placed.append(await order(client, users[number // 2 % 2], *lines))
    responses = await all_at_once(client, "checkout", [(one,) for one in placed])
    assert {response.status for response in responses} == {200}
    assert [await stock_of(client, one) for one in items] == [900, 900]
    assert sum([await credit_of(client, one) for one in users]) == 1_800


# ---------------------------------------------------------------- aliases, prefixes, and who may talk to whom


async def test_the_older_aliases(shop: LocalDeployment, client: ShopClient) -> None:
    name, other, buyer = await item(client, 5), await item(client, 5, price=2), await user(client, 5)
    placed = await order(client, buyer, (name, 1), (other, 1))
    assert (await fetch(f"{shop.url}/orders/removeItem/{placed}/{other}", "DELETE"))[0] == 200
    assert (await fetch(f"{shop.url}/orders/removeItem/{placed}/{other}", "DELETE"))[0] == 404
    assert (await client.need("find_order", placed))["total_cost"] == 1
    assert '"paid":false' in (await fetch(f"{shop.url}/payment/status/{buyer}/{placed}"))[1]
    await client.need("checkout", placed)
    assert '"paid":true' in (await fetch(f"{shop.url}/payment/status/{buyer}/{placed}"))[1]
    assert (await fetch(f"{shop.url}/orders/remove/{placed}", "DELETE"))[0] == 409
    unpaid = await order(client, buyer)
    assert (await fetch(f"{shop.url}/orders/remove/{unpaid}", "DELETE"))[0] == 200
    assert (await client.call("find_order", unpaid)).status == 404


async def test_a_service_answers_on_its_own_port_with_the_prefix_and_without(
    shop: LocalDeployment, client: ShopClient
) -> None:
    placed = await order(client, "u")
    own = shop.node("order-1").url
    with_prefix, without = [await fetch(f"{own}{path}/find/{placed}", "GET") for path in ("/orders", "")]
    assert with_prefix == without
    assert with_prefix[0] == 200


async def test_internal_paths_are_not_for_clients(shop: LocalDeployment) -> None:
    own = shop.node("order-1").url
    # Without a body, this is no batch of messages, or does not ask for a connection of frames. Over a broker, nobody listens.
    status = {"http": 400, "tcp": 426}.get(shop.spec.transport, 404)
    served = {"/internal/messages": status != 404, "/internal/txns/x/resolve": True}
    for path, there in served.items():
        for prefix in ("", "/orders", "/stock"):
            assert (await fetch(f"{shop.url}{prefix}{path}"))[0] == 404
        refused = 403 if there else 404
        assert (await fetch(f"{own}{path}"))[0] == refused
        assert (await fetch(f"{own}{path}", **{"x-wdm-secret": "guess"}))[0] == refused
    trusted = {"x-wdm-secret": shop.secret}
    assert (await fetch(f"{own}/internal/txns", "GET", **trusted)) == (200, "[]")
    assert (await fetch(f"{own}/internal/messages", **trusted))[0] == status


async def test_health_and_metrics(shop: LocalDeployment, client: ShopClient) -> None:
    placed = await order(client, "u")
    await client.need("checkout", placed)
    for node in shop.nodes():
        if node.kind == "service":
            assert (await fetch(f"{node.url}/health", "GET"))[0] == 200
            status, text = await fetch(f"{node.url}/metrics", "GET")
            assert status == 200
            assert "wdm_store_commands_total" in text
    text = (await fetch(f"{shop.node('order-1').url}/metrics", "GET"))[1]
    assert 'wdm_requests_total{route="/checkout/{order}",status="200"}' in text


async def test_names_with_odd_characters_are_just_names(client: ShopClient) -> None:
    buyer = "a user/with: ödd %41 characters"
    placed = await client.need("create_order", buyer)
    assert (await client.need("find_order", placed))["user_id"] == buyer
    response = await client.call("find_user", buyer)
    assert (response.status, buyer in str(response.value)) == (404, True), quote(buyer)
