"""Random users buy random items; some have no credit, some items no stock."""

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
    look,
    open_shop,
    place,
    some_lines,
    split,
)


class Checkout(Workload, frozen=True, kw_only=True):
    """`poor` is the share of users and items with next to nothing; `looks` how often a client reads something."""

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
        funds = list(split(self.users, self.poor, rng, self.credit))
        stock = split(self.items, self.poor, rng, self.stock)
        return (yield from open_shop(funds, [(rng.randint(1, self.price), each) for each in stock]))

    def client(self, shop: Shop, number: int, rng: Random) -> Client:  # noqa: ARG002
        while True:
            order = yield from place(rng.choice(shop.users), some_lines(shop, rng, self.lines, self.quantity))
            if order:
                yield call("checkout", order)
            if rng.random() < self.looks:
                yield look(shop, rng, order)
