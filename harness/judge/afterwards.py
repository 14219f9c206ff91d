"""The last sale: after the load, users buy items alone, so that a user or an item that is held for good shows.

The deposits and checkouts are operations of the history as all others. They are made one after the other, since a refusal
beside other checkouts may be contention, and again until the limit, since it may be a lock that times out.
"""

import asyncio
from collections.abc import Iterable, Sequence

from harness.checkers.operations import balance_in
from harness.history import Operation
from harness.run.load import ClientPool
from harness.workload.base import Shop, call
from harness.workload.session import Session

MOST_SALES = 8
AGAIN_S = 0.5
LEAST_TRIES = 3
"""Tries of each sale, also beyond its limit: one refusal alone may have another reason."""

STUCK = "stuck"
"""The event of a sale that did not succeed, with `user`, `item`, `order` and `tries`."""


async def sell_again(clients: ClientPool, goods: Shop, operations: Sequence[Operation], limit_s: float) -> None:
    """Sell each of some items to one of some users, first those whose checkouts failed; record `STUCK` for each failure.

    `limit_s` bounds each sale in seconds; after the first failure the others have only the least tries.
    """
    prices = dict(zip(goods.items, goods.prices, strict=True))
    for user, item in _pairs(goods, operations):
        if not await _sell(clients, user, item, prices[item], limit_s):
            limit_s = 0.0


def _pairs(goods: Shop, operations: Sequence[Operation]) -> Iterable[tuple[str, str]]:
    """Return pairs of a user and an item, those of failed checkouts first."""
    users = {
        str(made.value): str(made.args[0]) for made in operations if made.op == "create_order" and made.outcome == "ok"
    }
    items = {str(added.args[0]): str(added.args[1]) for added in operations if added.op == "add_item"}
    failed = [str(tried.args[0]) for tried in operations if tried.op == "checkout" and tried.outcome != "ok"]
    suspects = [(users[order], items[order]) for order in failed if order in users and order in items]
    suspects = [pair for pair in suspects if pair[0] in goods.users and pair[1] in goods.items]
    others = zip(goods.users, goods.items, strict=False)
    return list(dict.fromkeys([*suspects[:MOST_SALES], *others]))[:MOST_SALES]


async def _sell(clients: ClientPool, user: str, item: str, price: int, limit_s: float) -> bool:
    """Fill both accounts, order one piece and check it out. Return whether that succeeded within the limit."""
    session = clients.session()
    # A balance below zero, which has a finding of its own, would be refused for good reason: the deposit covers it.
    await session.do(call("add_funds", user, max(price, price - await _balance(session, "find_user", user))))
    await session.do(call("add_stock", item, max(1, 1 - await _balance(session, "find_item", item))))
    now = asyncio.get_running_loop().time
    begin, tries = now(), 0
    while True:
        tries += 1
        order, sold = await _buy(session, user, item)
        if sold:
            return True
        if tries >= LEAST_TRIES and now() - begin + AGAIN_S > limit_s:
            clients.recorder.event(STUCK, user=user, item=item, order=order, tries=tries)
            return False
        await asyncio.sleep(AGAIN_S)


async def _balance(session: Session, read: str, name: str) -> int:
    """Return a balance, 0 if it cannot be read."""
    return balance_in(await session.do(call(read, name))) or 0


async def _buy(session: Session, user: str, item: str) -> tuple[str | None, bool]:
    """Order a piece and check it out once. Return the order, if it was made, and whether it was sold."""
    creation = await session.do(call("create_order", user))
    if creation.outcome != "ok":
        return None, False
    order = str(creation.value)
    if (await session.do(call("add_item", order, item, 1))).outcome != "ok":
        return order, False
    checkout = await session.do(call("checkout", order))
    return (
        order,
        checkout.outcome == "ok" or checkout.status == 202,
    )  # accepted: the settling before the final reads judges it
