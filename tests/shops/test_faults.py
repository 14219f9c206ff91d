"""Each fault of a foreign shop shows itself: a fault that never happens would prove nothing about a judge."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path

import pytest

from harness.workload.client import Refused
from tests.contract.acts import credit_of, is_paid, item, order, state, stock_of, user
from tests.shops import FAULTS, SUPPORTED, running
from tests.shops.client import Client, shop_parameter

Script = Callable[[Client], Awaitable[None]]
SCRIPTS: dict[str, Script] = {}
ENOUGH = 6
"""Checkouts after which every fault of some checkouts has struck."""


def shows(script: Script) -> Script:
    SCRIPTS[script.__name__.replace("_", "-")] = script
    return script


def by_chance(script: Script) -> Script:
    """Repeat a script of requests that must meet within some milliseconds, which they miss on a busy machine."""

    @wraps(script)
    async def repeated(client: Client) -> None:
        for _ in range(5):
            with suppress(AssertionError):
                return await script(client)
        return await script(client)

    return repeated


@shows
@by_chance
async def lost_update(client: Client) -> None:
    name, buyer = await item(client, 0), await user(client, 0)
    await asyncio.gather(*(client.need("add_stock", name, 1) for _ in range(ENOUGH)))
    await asyncio.gather(*(client.need("add_funds", buyer, 1) for _ in range(ENOUGH)))
    assert 0 < await stock_of(client, name) < ENOUGH
    assert 0 < await credit_of(client, buyer) < ENOUGH


@shows
@by_chance
async def oversell(client: Client) -> None:
    name = await item(client, 3)
    orders = await client.orders(ENOUGH, name)
    answers = await client.checkouts([bought for _, bought in orders])
    sold = [answer.outcome for answer in answers].count("ok")
    assert sold > 3
    assert await stock_of(client, name) in {0, 3 - sold}


async def _some(client: Client) -> list[tuple[str, bool, int, int]]:
    """Check out some orders one by one; return the outcome, `paid`, the stock and the credit that each took."""
    name, seen = await item(client, 100, price=2), []
    for buyer, bought in await client.orders(ENOUGH, name):
        stock = await stock_of(client, name)
        answer = await client.call("checkout", bought)
        seen.append(
            (
                answer.outcome,
                await is_paid(client, bought),
                stock - await stock_of(client, name),
                100 - await credit_of(client, buyer),
            )
        )
    assert ("ok", True, 1, 2) in seen
    return seen


@shows
async def charge_without_paid(client: Client) -> None:
    assert ("ok", False, 1, 2) in await _some(client)


@shows
async def paid_without_charge(client: Client) -> None:
    assert ("ok", True, 1, 0) in await _some(client)


@shows
async def not_idempotent(client: Client) -> None:
    name, buyer = await item(client, 5), await user(client, 5)
    bought = await order(client, buyer, (name, 1))
    for _ in range(2):
        await client.need("checkout", bought)
    assert await state(client, bought, [name], buyer) == {"paid": True, "stock": [3], "credit": 3}


@shows
async def error_as_success(client: Client) -> None:
    seen = await _some(client)
    assert any(outcome == "ok" and not charged for outcome, _, _, charged in seen)
    assert ("unknown", True, 1, 2) in seen


@shows
async def lock_outlives_holder(client: Client) -> None:
    name, buyer = await item(client, 1), await user(client, 0)
    bought = await order(client, buyer, (name, 1))
    assert [(await client.call("checkout", bought)).outcome for _ in range(2)] == ["fail"] * 2
    await client.need("add_funds", buyer, 1)
    assert (await client.call("checkout", bought)).outcome == "unknown"


async def _cut_off_with_locks(client: Client) -> None:
    name, buyer = await item(client, 100), await user(client, 100)
    orders = [await order(client, buyer, (name, 1)) for _ in range(20)]
    calls = [asyncio.create_task(client.call("checkout", orders[0]))]
    while not calls[
        0
    ].done():  # each checkout holds its locks for 20 ms: later ones hold theirs when the first one ends
        calls.append(asyncio.create_task(client.call("checkout", orders[len(calls) % len(orders)])))
        await asyncio.sleep(0.005)
    node = client.shop.nodes[0]
    await client.shop.restart(node)
    await asyncio.gather(*calls)
    await client.reopen()
    assert "unknown" in [answer.outcome for answer in await client.checkouts(orders)]


@shows
async def lost_compensation(client: Client) -> None:
    name = await item(client, 100)
    orders = await client.orders(4, name, credit=0)
    assert {(await client.call("checkout", bought)).outcome for _, bought in orders} == {"fail"}
    assert await stock_of(client, name) == 98


@shows
async def rejected_but_happened(client: Client) -> None:
    assert ("fail", True, 1, 2) in await _some(client)


@shows
@by_chance
async def dirty_read(client: Client) -> None:
    name, buyer = await item(client, 5), await user(client, 0)
    checkout = asyncio.create_task(client.call("checkout", await order(client, buyer, (name, 1))))
    seen = set()
    while not checkout.done():
        seen.add(await stock_of(client, name))
    assert checkout.result().outcome == "fail"
    assert 4 in seen
    assert await stock_of(client, name) == 5


@shows
async def wrong_answer(client: Client) -> None:
    orders = [await order(client, "somebody") for _ in range(ENOUGH)]
    found = [(await client.need("find_order", name))["order_id"] for name in orders]
    assert 0 < sum(one != other for one, other in zip(orders, found, strict=True)) < ENOUGH / 2


@shows
async def never_retried(client: Client) -> None:
    name, buyer = await item(client, 5), await user(client, 0)
    bought = await order(client, buyer, (name, 1))
    assert (await client.call("checkout", bought)).outcome == "fail"
    await client.need("add_funds", buyer, 5)
    assert (await client.call("checkout", bought)).outcome == "fail"
    await client.need("checkout", await order(client, buyer, (name, 1)))


@shows
async def no_persistence(client: Client) -> None:
    name, buyer = await item(client, 5), await user(client, 5)
    await client.restart()
    assert (await client.call("find_item", name)).outcome == "fail"
    assert (await client.call("find_user", buyer)).outcome == "fail"


@shows
async def negative_balance(client: Client) -> None:
    name, buyer = await item(client, 0), await user(client, 0)
    await client.need("subtract_stock", name, 1)
    await client.need("pay", buyer, 1)
    await client.need("checkout", await order(client, buyer, (name, 1)))
    assert (await stock_of(client, name), await credit_of(client, buyer)) == (-2, -2)


@shows
async def ids_reused(client: Client) -> None:
    async def made() -> tuple[str, str, str]:
        return await item(client, 0), await user(client, 0), await order(client, "somebody")

    before = await made()
    await client.restart()
    assert await made() == before


@shows
async def in_doubt_leak(client: Client) -> None:
    name = await item(client, 5)
    orders = await client.orders(5, name)
    outcomes = [(await client.call("checkout", bought)).outcome for _, bought in orders]
    assert outcomes == ["ok"] * 4 + ["unknown"]
    buyer, bought = orders[-1]
    assert not await is_paid(client, bought)
    assert await credit_of(client, buyer) == 100
    assert (await client.call("add_item", bought, name, 1)).outcome == "fail"
    assert (await client.call("checkout", bought)).outcome == "unknown"
    last = await order(client, await user(client, 100), (name, 1))
    assert (await client.call("checkout", last)).outcome != "ok"


def test_each_fault_has_a_script_and_two_shops() -> None:
    assert set(SCRIPTS) == set(FAULTS)
    assert [fault for fault in FAULTS if sum(fault in known for known in SUPPORTED.values()) < 2] == []


QUICK_SHOP = "node"
"""The shop whose faults the quick tests show."""


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        shop_parameter(name, fault, slow=name != QUICK_SHOP)
        for name, known in SUPPORTED.items()
        for fault in sorted(known)
    ],
)
async def test_a_fault_shows_itself(name: str, fault: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, [fault]) as shop, Client(shop) as client:
        await SCRIPTS[fault](client)


@pytest.mark.parametrize("name", [shop_parameter(name, slow=name != "asyncio") for name in SUPPORTED])
async def test_locks_outlive_a_kill(name: str, tmp_path: Path) -> None:
    async with running(name, tmp_path, ["lock-outlives-holder"]) as shop, Client(shop) as client:
        await _cut_off_with_locks(client)


async def test_no_script_passes_for_a_shop_without_faults(tmp_path: Path) -> None:
    passed = []
    async with running("asyncio", tmp_path) as shop, Client(shop) as client:
        for fault, script in SCRIPTS.items():
            with suppress(AssertionError, Refused):
                await script(client)
                passed.append(fault)
    assert passed == []
