"""Clients that do not take no, or silence, for an answer: they check the same order out again, some at once."""

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
    open_shop,
    place,
    some_lines,
    split,
)

RECENT_ORDERS = 4
"""The last so many orders lie about for other clients to check out as well: few, so that some do at the same time."""


class Retry(Workload, frozen=True, kw_only=True):
    """A client tries up to `tries` times; before trying again after a no, it pays in `top_up` now and then.

    `again` is how often it repeats a checkout that succeeded, `others` how often it checks out somebody else's order.
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
        funds = list(split(self.users, self.poor, rng, self.credit))
        stock = split(self.items, self.poor, rng, self.stock)
        return (yield from open_shop(funds, [(rng.randint(1, self.price), each) for each in stock]))

    def client(self, shop: Shop, number: int, rng: Random) -> Client:  # noqa: ARG002
        while True:
            if shop.order_pool and rng.random() < self.others:
                yield call("checkout", rng.choice(shop.order_pool))
                continue
            user, lines = rng.choice(shop.users), some_lines(shop, rng, 2, 2)
            order = yield from place(user, lines)
            if order:
                shop.order_pool[:] = [*shop.order_pool[-RECENT_ORDERS + 1 :], order]
                yield from self._insist(order, user, lines, rng)

    def _insist(self, order: str, user: str, lines: list[tuple[str, int]], rng: Random) -> Client:
        for _ in range(self.tries):
            heard = yield call("checkout", order)
            if heard.outcome == "ok":
                break
            if heard.outcome == "fail" and self.top_up and rng.random() < 0.5:
                yield call("add_funds", user, self.top_up)
                yield call("add_stock", rng.choice(lines)[0], self.top_up)
        if rng.random() < self.again:
            yield call("checkout", order)
