"""A workload of repeated checkouts: clients check an order out again after a rejection or a time-out, some concurrently."""

from random import Random

from harness.workload.base import (
    Amount,
    Client,
    Count,
    Setup,
    Share,
    Shop,
    Workload,
    call,
    draw_balances,
    draw_lines,
    open_shop,
    place_order,
)

RECENT_ORDERS = 4
"""The number of recent orders that other clients check out as well: few, so that some of these checkouts are concurrent."""


class Retry(Workload, frozen=True, kw_only=True):
    """Clients with up to `tries` checkouts of an order; after half of the rejections they add `top_up` to credit and stock.

    `again` is the probability of one more checkout after the last one, `others` that of a checkout of another client's order.
    """

    users: Count = 40
    items: Count = 20
    credit: Amount = 60
    stock: Amount = 60
    price: Count = 4
    poor: Share = 0.3
    tries: Count = 4
    top_up: Amount = 40
    again: Share = 0.2
    others: Share = 0.3

    def setup(self, rng: Random) -> Setup:
        funds = list(draw_balances(self.users, self.poor, rng, self.credit))
        stock = draw_balances(self.items, self.poor, rng, self.stock)
        return (yield from open_shop(funds, [(rng.randint(1, self.price), pieces) for pieces in stock]))

    def client(self, shop: Shop, number: int, rng: Random) -> Client:  # noqa: ARG002
        while True:
            if shop.order_pool and rng.random() < self.others:
                yield call("checkout", rng.choice(shop.order_pool))
                continue
            user, lines = rng.choice(shop.users), draw_lines(shop, rng, 2, 2)
            order = yield from place_order(user, lines)
            if order:
                shop.order_pool[:] = [*shop.order_pool[-RECENT_ORDERS + 1 :], order]
                yield from self._retry(order, user, lines, rng)

    def _retry(self, order: str, user: str, lines: list[tuple[str, int]], rng: Random) -> Client:
        for _ in range(self.tries):
            response = yield call("checkout", order)
            if response.outcome == "ok":
                break
            if response.outcome == "fail" and self.top_up and rng.random() < 0.5:
                yield call("add_funds", user, self.top_up)
                yield call("add_stock", rng.choice(lines)[0], self.top_up)
        if rng.random() < self.again:
            yield call("checkout", order)
