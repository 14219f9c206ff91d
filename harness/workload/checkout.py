"""A workload of random checkouts; some users have no credit, some items no stock."""

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
    random_read,
)


class Checkout(Workload, frozen=True, kw_only=True):
    """Random users who buy random items.

    `poor` is the share of users and items with a balance of at most 3, `looks` the probability of a read after a checkout.
    """

    users: Count = 60
    items: Count = 30
    credit: Amount = 400
    stock: Amount = 200
    price: Count = 5
    lines: Count = 3
    quantity: Count = 2
    poor: Share = 0.1
    looks: Share = 0.2

    def setup(self, rng: Random) -> Setup:
        funds = list(draw_balances(self.users, self.poor, rng, self.credit))
        stock = draw_balances(self.items, self.poor, rng, self.stock)
        return (yield from open_shop(funds, [(rng.randint(1, self.price), pieces) for pieces in stock]))

    def client(self, shop: Shop, number: int, rng: Random) -> Client:  # noqa: ARG002
        while True:
            order = yield from place_order(rng.choice(shop.users), draw_lines(shop, rng, self.lines, self.quantity))
            if order:
                yield call("checkout", order)
            if rng.random() < self.looks:
                yield random_read(shop, rng, order)
