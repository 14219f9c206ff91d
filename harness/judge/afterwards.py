"""The last sale: after the load, users buy items alone, so that a user or an item that is held for good shows.

The deposits and checkouts are operations of the history as all others. They are made one after the other, since a refusal
beside other checkouts may be contention, and again until the limit, since it may be a lock that times out.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count

from harness.checkers.operations import balance_in
from harness.history import Operation
from harness.run.load import ClientPool
from harness.workload.base import Shop, call
from harness.workload.client import ACCEPTED
from harness.workload.session import Session

MOST_SALES = 8
MOST_ORDERS = 4
MOST_FAILURES = 3
AGAIN_S = 0.5
LEAST_TRIES = 3
"""Tries of each sale, also beyond its limit: one refusal alone may have another reason."""

STUCK = "stuck"
"""The event of a sale that did not succeed, with `user`, `item`, `order` and `tries`.

`alone` is whether an order of the same user and the same items was sold right after: it is this order alone that is held.
"""


async def sell_again(clients: ClientPool, goods: Shop, operations: Sequence[Operation], limit_s: float) -> None:
    """Check unfinished orders out again, then sell each of some items to one of some users; record `STUCK` for each failure.

    The orders and users of checkouts without success come first. `limit_s` bounds each sale in seconds; after the first failure
    the others have only the least tries, and after `MOST_FAILURES` there are no more.
    """
    prices = dict(zip(goods.items, goods.prices, strict=True))
    carts = _unfinished(operations)
    sales = [partial(_complete, clients, cart, prices) for cart in carts[:MOST_ORDERS]]
    sales += [partial(_sell, clients, user, item, prices[item]) for user, item in _pairs(goods, carts)]
    failed = 0
    for sale in sales:
        failed += not await sale(0.0 if failed else limit_s)
        if failed == MOST_FAILURES:
            return


@dataclass(frozen=True, slots=True)
class UnfinishedOrder:
    """An order whose checkouts had no success, with its user and its lines (quantity by item)."""

    order: str
    user: str
    lines: dict[str, int]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a sale: its order, if it was made, and its checkout, if that was sent."""

    order: str | None
    checkout: Operation | None = None

    @property
    def is_sold(self) -> bool:
        """Whether it was acknowledged, or accepted: the final reads judge whether it then ended."""
        return self.checkout is not None and (self.checkout.outcome == "ok" or self.checkout.status == ACCEPTED)

    @property
    def is_answered(self) -> bool:
        """Whether the shop answered the checkout, itself and not a gateway without it."""
        return self.checkout is not None and self.checkout.status not in (0, 502)


def _unfinished(operations: Sequence[Operation]) -> list[UnfinishedOrder]:
    """Return the orders without an acknowledged checkout, those of unknown outcome first, of these the latest."""
    users = {
        str(made.value): str(made.args[0]) for made in operations if made.op == "create_order" and made.outcome == "ok"
    }
    lines: dict[str, dict[str, int]] = {}
    for added in operations:
        if added.op == "add_item" and added.outcome == "ok":
            order, item, quantity = map(str, added.args)
            lines.setdefault(order, {})[item] = lines.get(order, {}).get(item, 0) + int(quantity)
    outcomes: dict[str, set[str]] = {}
    for tried in operations:
        if tried.op == "checkout" and str(tried.args[0]) in users:
            outcomes.setdefault(str(tried.args[0]), set()).add(tried.outcome)
    failed = [order for order, seen in reversed(outcomes.items()) if "ok" not in seen and order in lines]
    failed.sort(key=lambda order: "unknown" not in outcomes[order])
    return [UnfinishedOrder(order, users[order], lines[order]) for order in failed]


def _pairs(goods: Shop, carts: Sequence[UnfinishedOrder]) -> list[tuple[str, str]]:
    """Return pairs of a user and an item of the set-up, those of unfinished orders first."""
    suspects = [(cart.user, item) for cart in carts[:MOST_SALES] for item in cart.lines]
    known = [pair for pair in suspects if pair[0] in goods.users and pair[1] in goods.items]
    others = zip(goods.users, goods.items, strict=False)
    return list(dict.fromkeys([*known[:MOST_SALES], *others]))[:MOST_SALES]


async def _complete(clients: ClientPool, cart: UnfinishedOrder, prices: Mapping[str, int], limit_s: float) -> bool:
    """Fill the accounts of an order and check it out. Return whether that succeeded within the limit."""
    if not all(item in prices for item in cart.lines):
        return True
    session = clients.session()
    cost = sum(prices[item] * quantity for item, quantity in cart.lines.items())

    async def check_out() -> Attempt:
        if not await _fill(session, cart.user, cost, cart.lines):
            return Attempt(None)
        return Attempt(cart.order, await session.do(call("checkout", cart.order)))

    async def buy_the_same() -> Attempt:
        # One order more for the same user and items, and goods for it: those that the stuck order holds may still be shown.
        for name, deposit, needed in (
            (cart.user, "add_funds", cost),
            *((i, "add_stock", n) for i, n in cart.lines.items()),
        ):
            if (await session.do(call(deposit, name, needed))).outcome != "ok":
                return Attempt(None)
        return await _buy(session, cart.user, cart.lines)

    return await _insist(clients, check_out, cart.user, next(iter(cart.lines)), limit_s, buy_the_same)


async def _sell(clients: ClientPool, user: str, item: str, price: int, limit_s: float) -> bool:
    """Fill both accounts, order one piece and check it out. Return whether that succeeded within the limit."""
    session = clients.session()

    async def buy() -> Attempt:
        return await _buy(session, user, {item: 1}) if await _fill(session, user, price, {item: 1}) else Attempt(None)

    return await _insist(clients, buy, user, item, limit_s)


async def _fill(session: Session, user: str, cost: int, lines: Mapping[str, int]) -> bool:
    """Deposit what an order lacks. Return whether user and items have enough: a refusal for lack of it proves nothing."""
    enough = True
    for read, name, deposit, needed in (
        ("find_user", user, "add_funds", cost),
        *(("find_item", item, "add_stock", quantity) for item, quantity in lines.items()),
    ):
        balance = balance_in(await session.do(call(read, name)))
        if balance is None:
            return False
        if balance < needed:
            enough &= (await session.do(call(deposit, name, needed - balance))).outcome == "ok"
    return enough


async def _insist(
    clients: ClientPool,
    attempt: Callable[[], Awaitable[Attempt]],
    user: str,
    item: str,
    limit_s: float,
    control: Callable[[], Awaitable[Attempt]] | None = None,
) -> bool:
    """Make attempts until one succeeds, at least `LEAST_TRIES` and until the limit; record `STUCK` if none does.

    `control` is an attempt with another order, which shows whether this order alone is stuck.
    A shop that made no order or had no answer is slow, and no user or item of it is held: nothing is recorded then.
    """
    now = asyncio.get_running_loop().time
    begin = now()
    answered = 0
    for tries in count(1):
        last = await attempt()
        if last.is_sold:
            return True
        answered += last.is_answered
        if tries >= LEAST_TRIES and now() - begin + AGAIN_S > limit_s:
            if last.is_answered and answered >= LEAST_TRIES:
                alone = control is not None and await _any_sold(control)
                clients.recorder.event(STUCK, user=user, item=item, order=last.order, tries=answered, alone=alone)
            return False
        await asyncio.sleep(AGAIN_S)
    raise AssertionError("the attempts end with a success or at the limit")


async def _any_sold(control: Callable[[], Awaitable[Attempt]]) -> bool:
    for _ in range(LEAST_TRIES):
        if (await control()).is_sold:
            return True
    return False


async def _buy(session: Session, user: str, lines: Mapping[str, int]) -> Attempt:
    """Make an order with these quantities by item, and check it out once."""
    creation = await session.do(call("create_order", user))
    if creation.outcome != "ok":
        return Attempt(None)
    order = str(creation.value)
    for item, quantity in lines.items():
        if (await session.do(call("add_item", order, item, quantity))).outcome != "ok":
            return Attempt(order)
    return Attempt(order, await session.do(call("checkout", order)))
