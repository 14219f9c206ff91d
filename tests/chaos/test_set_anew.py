"""`batch_init` on real processes while a checkout stands half done: afterwards the stock is exactly the new one.

Payment stands still, the checkout has reserved seven pieces, the stock is set anew, and the deadline passes. Whatever is then
given back belongs to the stock as it was.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from harness.run import scenarios
from harness.run.plan import Plan
from harness.runtimes.admin import AdminClient
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import Response, ShopClient
from protocols.core import StateKind
from protocols.registry import load
from tests.contract.acts import credit_of, is_paid, stock_of
from tests.running import conduct
from tests.runtimes import EVERY_PROTOCOL

LOCKS = next(option.choices for option in load("2pc").options if option.name == "locks")
QUICK = ("saga",)
"""The others are longer runs of the same; `tests/sim/test_set_anew.py` has them all in virtual time."""
SHOPS = [
    pytest.param(name, options, id=known, marks=() if known in QUICK else pytest.mark.slow)
    for name, options, known in (
        *((name, {}, name) for name in EVERY_PROTOCOL if name != "2pc"),
        *(("2pc", {"locks": locks}, locks) for locks in LOCKS),
    )
]
BEFORE, TAKEN, ANEW, CREDIT = 100, 7, 50, 100
LIMIT_S = 1.5
UNTIL_S = 10.0


def spec(protocol: str, **changes: Any) -> Spec:
    return Spec(protocol=protocol, time_limit_s=LIMIT_S, **changes)


async def half_done(shop: LocalDeployment, client: ShopClient, protocol: str) -> "tuple[str, asyncio.Task[Response]]":
    """The order and its checkout, which has reserved what it buys and waits for payment; or is over, if it needs nobody."""
    await client.need("init_items", 1, BEFORE, 1)
    await client.need("init_users", 1, CREDIT)
    order = await client.need("create_order", "0")
    await client.need("add_item", order, "0", TAKEN)
    shop.pause("payment-1")
    checkout = asyncio.create_task(client.call("checkout", order))
    deadline = time.monotonic() + UNTIL_S
    while not (checkout.done() or await _reserved(shop, client, protocol)):
        assert time.monotonic() < deadline, "nothing was reserved"
        await asyncio.sleep(0.02)
    return order, checkout


async def _reserved(shop: LocalDeployment, client: ShopClient, protocol: str) -> bool:
    """Whether the stock service has done its part: a lock or an escrow that waits for the decision, or pieces that are gone."""
    doubtful = {state for state, kinds in load(protocol).states.items() if StateKind.IN_DOUBT in kinds}
    if doubtful:
        rows = await AdminClient([shop.node("stock-1")], shop.secret).unfinished()
        return any(row["state"] in doubtful for row in rows)
    return await stock_of(client, "0") == BEFORE - TAKEN


async def _at_rest(shop: LocalDeployment) -> None:
    """A step that payment did not answer is sent again after seconds."""
    deadline = time.monotonic() + UNTIL_S
    while left := await AdminClient(shop.nodes(), shop.secret).unfinished():
        assert time.monotonic() < deadline, f"still unfinished: {left}"
        await asyncio.sleep(0.05)


async def set_anew(shop: LocalDeployment, protocol: str) -> tuple[Response, bool, int, int]:
    """What `batch_init` was answered in mid-checkout, and at rest: whether the order is paid, the stock, the credit."""
    async with ShopClient(shop.url) as client:
        order, checkout = await half_done(shop, client, protocol)
        init = await client.call("init_items", 1, ANEW, 1)
        response = await checkout
        shop.resume("payment-1")
        await _at_rest(shop)
        paid = await is_paid(client, order)
        assert response.outcome != "ok" or paid
        return init, paid, await stock_of(client, "0"), await credit_of(client, "0")


@pytest.mark.parametrize(("protocol", "options"), SHOPS)
async def test_stock_that_is_set_anew_is_what_was_said(protocol: str, options: dict[str, str]) -> None:
    async with LocalDeployment(spec(protocol, options=options)) as shop:
        init, paid, stock, credit = await set_anew(shop, protocol)
    assert init.outcome in ("ok", "fail")
    assert stock == (ANEW if init.outcome == "ok" else BEFORE - TAKEN * paid)
    assert credit == CREDIT - TAKEN * paid


@pytest.mark.slow
async def test_a_saga_over_streams_gives_back_to_the_stock_as_it_was() -> None:
    async with LocalDeployment(spec("saga", transport="streams")) as shop:
        init, paid, stock, credit = await set_anew(shop, "saga")
    assert (init.status, paid, stock, credit) == (200, False, ANEW, CREDIT)


@pytest.mark.slow
async def test_without_the_rule_the_stock_is_more_than_was_said() -> None:
    async with LocalDeployment(spec("saga", ablate=("same-life",))) as shop:
        init, _, stock, _ = await set_anew(shop, "saga")
    assert (init.status, stock) == (200, ANEW + TAKEN)


@pytest.mark.slow
@pytest.mark.parametrize(("protocol", "options"), [("2pc", {"locks": "escrow"}), ("saga", {})], ids=str)
def test_the_scenario_holds_on_real_processes(protocol: str, options: dict[str, str], tmp_path: Path) -> None:
    """Carts, removals and everything set anew in mid-run, while services freeze and nodes die; the others are simulated."""
    finished = conduct(Plan(scenarios.load("set-anew"), protocol, 1, options=options), tmp_path)
    assert (finished.judgement.verdict, finished.judgement.reasons) == ("holds", ())
    done = {each.op for each in finished.history.operations if each.outcome == "ok"}
    assert done >= {"init_items", "init_users", "init_orders", "remove_item", "remove_order"}
