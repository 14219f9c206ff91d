"""Each foreign shop meets the contract as long as no fault is switched on."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.contract.acts import LIMIT, credit_of, is_paid, item, order, state, stock_of, user
from tests.shops import PROGRAMS, running
from tests.shops.client import Client, shop_parameter

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHOPS = [shop_parameter(name) for name in PROGRAMS]
BY_TIME = [shop_parameter(name, slow=name != "asyncio") for name in PROGRAMS]
"""For tests of the processes, which all shops start and end alike."""
WITHIN_S = 10.0


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=SHOPS)
async def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    async with running(request.param, tmp_path_factory.mktemp("shop")) as shop, Client(shop) as one:
        yield one


async def test_a_checkout_takes_stock_and_credit_once(client: Client) -> None:
    one, other, buyer = await item(client, 5, price=3), await item(client, 5, price=4), await user(client, 100)
    name = await order(client, buyer, (one, 1), (other, 2), (one, 1))
    found = await client.need("find_order", name)
    assert found == {
        "order_id": name,
        "user_id": buyer,
        "paid": False,
        "items": [[one, 1], [other, 2], [one, 1]],
        "total_cost": 14,
    }
    for _ in range(2):
        await client.need("checkout", name)
        assert await state(client, name, [one, other], buyer) == {"paid": True, "stock": [3, 3], "credit": 86}
    assert (await client.call("add_item", name, one, 1)).outcome == "fail"


async def test_two_checkouts_at_once_have_one_effect(client: Client) -> None:
    name, buyer = await item(client, 5), await user(client, 100)
    bought = await order(client, buyer, (name, 1))
    assert [answer.status for answer in await client.checkouts([bought] * 4)] == [200] * 4
    assert await state(client, bought, [name], buyer) == {"paid": True, "stock": [4], "credit": 99}


async def test_a_failed_checkout_changes_nothing_and_can_be_repeated(client: Client) -> None:
    scarce, plenty, buyer = await item(client, 0, price=2), await item(client, 9, price=2), await user(client, 3)
    name = await order(client, buyer, (plenty, 1), (scarce, 1))
    before = await state(client, name, [plenty, scarce], buyer)
    assert (await client.call("checkout", name)).outcome == "fail"
    await client.need("add_stock", scarce, 1)
    assert (await client.call("checkout", name)).outcome == "fail"
    assert await state(client, name, [plenty, scarce], buyer) == {**before, "stock": [9, 1]}
    await client.need("add_funds", buyer, 1)
    await client.need("checkout", name)
    assert await state(client, name, [plenty, scarce], buyer) == {"paid": True, "stock": [8, 0], "credit": 0}


async def test_impossible_requests_are_rejected_and_change_nothing(client: Client) -> None:
    name, buyer = await item(client, 5), await user(client, 5)
    bought = await order(client, buyer, (name, 1))
    before = await state(client, bought, [name], buyer)
    bad = ("-1", "x", "1.5", "", "1e3", "²", str(LIMIT + 1))
    requests = [
        *((operation, key, amount) for operation, key in (("add_stock", name), ("add_funds", buyer)) for amount in bad),
        *(("create_item", amount) for amount in bad),
        *(("add_item", bought, name, amount) for amount in bad),
        *((operation, "none") for operation in ("checkout", "find_order", "find_item", "find_user")),
        *((operation, "none", 1) for operation in ("add_stock", "subtract_stock", "add_funds", "pay")),
        ("add_item", bought, "none", 1),
        ("add_item", "none", name, 1),
        ("add_stock", name, LIMIT),
        ("add_funds", buyer, LIMIT),
        ("subtract_stock", name, 6),
        ("pay", buyer, 6),
    ]
    answers = [(request, await client.call(*request)) for request in requests]
    assert [(request, answer) for request, answer in answers if not 400 <= answer.status < 500] == []
    assert await state(client, bought, [name], buyer) == before
    assert (await client.need("find_order", bought))["items"] == [[name, 1]]


async def test_an_order_without_a_known_user_fails_and_an_empty_one_is_free(client: Client) -> None:
    name, buyer = await item(client, 5), await user(client, 0)
    assert (await client.call("checkout", await order(client, "none", (name, 1)))).outcome == "fail"
    assert await stock_of(client, name) == 5
    await client.need("checkout", await order(client, buyer))


async def test_many_at_once_sell_what_there_is(client: Client) -> None:
    name = await item(client, 20, price=2)
    orders = await client.orders(10, name) + await client.orders(5, name, credit=1)
    buyers = [await user(client, 100) for _ in range(20)]
    more = [(buyers[number % 20], (name, 1)) for number in range(185)]
    bought_by = await asyncio.gather(*(order(client, buyer, line) for buyer, line in more))
    orders += [(buyer, bought) for (buyer, _), bought in zip(more, bought_by, strict=True)]
    statuses = [answer.status for answer in await client.checkouts([bought for _, bought in orders])]
    assert Counter(status // 100 for status in statuses) == {2: 20, 4: 180}
    assert await stock_of(client, name) == 0
    sold = [buyer for (buyer, bought), status in zip(orders, statuses, strict=True) if status == 200]
    left = {buyer: await credit_of(client, buyer) for buyer, _ in orders}
    poor = {buyer for buyer, _ in orders[10:15]}
    assert left == {buyer: (1 if buyer in poor else 100) - 2 * sold.count(buyer) for buyer in left}


async def test_batches_begin_again(client: Client) -> None:
    for _ in range(2):
        await client.need("init_users", 5, 10)
        await client.need("init_items", 5, 7, 3)
        await client.need("init_orders", 4, 5, 5, 3)
        found = [await client.need("find_order", str(number)) for number in range(4)]
        assert [one["total_cost"] for one in found] == [6] * 4
        assert {quantity for one in found for _, quantity in one["items"]} == {1}
        assert not any(one["paid"] for one in found)
        await client.need("checkout", "3")
        assert sum([await credit_of(client, str(number)) for number in range(5)]) == 44
        assert sum([await stock_of(client, str(number)) for number in range(5)]) == 33
        assert [(await client.need("find_item", str(number)))["price"] for number in range(5)] == [3] * 5
    assert (await client.call("find_order", "4")).outcome == "fail"


@pytest.mark.parametrize("name", BY_TIME)
async def test_a_kill_loses_nothing_and_leaves_nothing_half_done(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as shop, Client(shop) as client:
        bought = await item(client, 100, price=3)
        orders = await client.orders(30, bought)
        acknowledged: set[str] = set()
        for node, part in zip(shop.nodes, (orders[i::3] for i in range(3)), strict=False):
            acknowledged |= await _cut_off(client, node, [one for _, one in part])
        for one in acknowledged:
            assert await is_paid(client, one)
        for _, one in orders:
            await client.need("checkout", one)  # of a checkout that was cut off as well, and once
        assert [await credit_of(client, buyer) for buyer, _ in orders] == [97] * 30
        assert await stock_of(client, bought) == 70
        again = await client.orders(3, bought)
        assert not {*map(str, orders)} & {*map(str, again)}


async def _cut_off(client: Client, node: str, orders: list[str]) -> set[str]:
    """Kill a node amid checkouts; return the orders whose checkout was acknowledged before."""
    calls = {one: asyncio.create_task(client.call("checkout", one)) for one in orders}
    await asyncio.wait(calls.values(), return_when=asyncio.FIRST_COMPLETED)
    await client.shop.restart(node)
    async with asyncio.timeout(WITHIN_S):
        answers = {one: await call for one, call in calls.items()}
    await client.reopen()
    assert {answer.outcome for answer in answers.values()} <= {"ok", "unknown"}
    return {one for one, answer in answers.items() if answer.outcome == "ok"}


@pytest.mark.parametrize("name", BY_TIME)
async def test_a_node_starts_again_by_its_command_and_ends_with_its_shop(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as shop:
        node = shop.nodes[-1]
        async with Client(shop) as client:
            buyer = await user(client, 5)
        await shop.kill(node)
        again = await asyncio.create_subprocess_shell(f"exec {shop.start_line(node)}", stdout=asyncio.subprocess.PIPE)
        assert again.stdout is not None
        assert (await again.stdout.readline()).startswith(b"listening on ")
        async with Client(shop) as client:
            assert await credit_of(client, buyer) == 5
    assert await again.wait() == -signal.SIGKILL


@pytest.mark.parametrize("name", BY_TIME)
async def test_a_shop_ends_at_sigterm_and_rejects_unknown_faults(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path) as shop:
        assert [await shop.end(node) for node in shop.nodes]
    with pytest.raises(AssertionError, match="wrote b''"):
        async with running(name, tmp_path, ["no-such-fault"]):
            pass
