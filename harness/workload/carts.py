"""A workload of carts that are changed and thrown away, while clients set prices, stock and credit anew in mid-sale.

A line keeps the price at which it was added, whatever its item costs later, and a compensation returns nothing to an account
that was set anew since: only changes to carts and accounts that other clients already use show violations of these rules.
"""

from random import Random
from typing import Self

import msgspec

from harness.workload.base import (
    Amount,
    Client,
    Count,
    Setup,
    Share,
    Shop,
    Workload,
    call,
    open_shop_of_many,
    place_order,
)


class Carts(Workload, frozen=True, kw_only=True):
    """Carts with changes, removals and new balances in mid-run.

    A share `changed` of the orders loses a line again, a share `thrown_away` is removed before its checkout or after its
    rejection.

    Client 0 makes `orders` in one request in mid-run, for all clients to check out, and sets all items anew `anew` times,
    with `pause` reads in between; client 1 does so with the users, so that neither client waits for the service of the other
    while that one is frozen. Then both buy, so that checkouts after the last new balance decide the verdict.
    """

    users: Count = 12
    items: Count = 8
    orders: Count = 20
    credit: Amount = 400
    stock: Amount = 60
    price: Count = 5
    lines: Count = 3
    quantity: Count = 3
    changed: Share = 0.4
    thrown_away: Share = 0.2
    anew: Count = 40
    pause: Count = 4

    def lighter(self) -> Self:
        """Return a smaller workload with fewer new balances, or its few requests would end before a sale at the last one."""
        return msgspec.structs.replace(super().lighter(), anew=max(1, self.anew // 4), pause=max(1, self.pause // 2))

    def setup(self, rng: Random) -> Setup:  # noqa: ARG002 - the ids are numbers, and all are equal at first
        return (yield from open_shop_of_many(self.users, self.credit, self.items, self.stock, self.price))

    def client(self, shop: Shop, number: int, rng: Random) -> Client:
        if number == 0:
            yield from self._make_orders(shop)
            yield from self._set_anew("find_item", shop.items, rng)
        elif number == 1:
            yield from self._set_anew("find_user", shop.users, rng)
        while True:
            if shop.order_pool:
                yield call("checkout", shop.order_pool.pop())
            else:
                yield from self._fill(shop, rng)

    def _make_orders(self, shop: Shop) -> Client:
        creation = yield call("init_orders", self.orders, self.items, self.users, self.price)
        if creation.outcome == "ok":  # else it may still take effect, and replace orders that were sold meanwhile
            shop.order_pool += [str(number) for number in range(self.orders)]

    def _set_anew(self, operation: str, ids: list[str], rng: Random) -> Client:
        for _ in range(self.anew):
            for _ in range(self.pause):
                yield call(operation, rng.choice(ids))
            if operation == "find_item":
                price = rng.randint(0, self.price)
                yield call("init_items", self.items, rng.randint(self.stock // 2, self.stock), price)
            else:
                yield call("init_users", self.users, rng.randint(self.credit // 2, self.credit))

    def _fill(self, shop: Shop, rng: Random) -> Client:
        """Fill a cart, change it perhaps, and check it out or remove it. An item may be in it twice, at two prices."""
        lines = [(rng.choice(shop.items), rng.randint(1, self.quantity)) for _ in range(rng.randint(1, self.lines))]
        order = yield from place_order(rng.choice(shop.users), lines)
        if not order:
            return
        if rng.random() < self.changed:
            removal = yield call("remove_item", order, rng.choice(lines)[0])
            if removal.outcome != "ok":
                return
            yield call("find_order", order)
        if rng.random() < self.thrown_away:
            yield call("remove_order", order)
            return
        checkout = yield call("checkout", order)
        if checkout.outcome == "fail" and rng.random() < self.thrown_away:
            yield call("remove_order", order)
