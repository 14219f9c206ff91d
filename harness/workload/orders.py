"""A workload of orders that the set-up has made: the load consists of their checkouts."""

from collections.abc import Generator
from itertools import accumulate
from random import Random
from typing import Annotated, ClassVar

import msgspec

from harness.history import Operation
from harness.workload.base import Call, Client, Count, Setup, Share, Shop, Workload, call, open_shop_of_many

CREDIT = 2**40
LINES_OF_INIT_ORDERS = 2
"""The lines of an order that `init_orders` makes."""

Skew = Annotated[float, msgspec.Meta(ge=0, le=3)]
Lines = Annotated[int, msgspec.Meta(ge=1, le=100)]


class Orders(Workload, frozen=True, kw_only=True):
    """Ready-made `orders` of `lines` different items each, one piece of each; a share `poor` of the users has no credit.

    `skew` is the exponent of Zipf's law by which items are drawn: 0 is a uniform choice, 1 a bestseller list. The shop makes
    uniform orders of two lines in one request; other orders take one request for each line.
    """

    users: Count = 200
    items: Count = 500
    orders: Count = 3_000
    lines: Lines = LINES_OF_INIT_ORDERS
    skew: Skew = 0.0
    poor: Share = 0.05

    reads_untouched: ClassVar[bool] = False  # a load has no time for that many orders

    @property
    def ready_made(self) -> bool:
        """Return whether `init_orders` makes such orders, many in one request."""
        return self.lines == LINES_OF_INIT_ORDERS and not self.skew

    def setup(self, rng: Random) -> Setup:
        shop = yield from open_shop_of_many(self.users, CREDIT, self.items, CREDIT, 1)
        poor = rng.sample(shop.users, round(self.poor * self.users))
        if poor:
            yield [call("pay", user, CREDIT) for user in poor]
        if self.ready_made:
            yield [call("init_orders", self.orders, self.items, self.users, 1)]
            shop.order_pool = [str(number) for number in range(self.orders)]
        else:
            shop.order_pool = yield from self._put_together(shop, rng)
        rng.shuffle(shop.order_pool)
        return shop

    def _put_together(self, shop: Shop, rng: Random) -> Generator[list[Call], list[Operation], list[str]]:
        creations = yield [call("create_order", rng.choice(shop.users)) for _ in range(self.orders)]
        orders = [str(creation.value) for creation in creations]
        weights = list(accumulate((rank + 1) ** -self.skew for rank in range(self.items)))
        yield [
            call("add_item", order, item, 1) for order in orders for item in _different(shop, weights, self.lines, rng)
        ]
        return orders

    def client(self, shop: Shop, number: int, rng: Random) -> Client:  # noqa: ARG002
        for order in shop.order_pool[number :: self.clients]:
            yield call("checkout", order)


def _different(shop: Shop, weights: list[float], count: int, rng: Random) -> list[str]:
    """Draw `count` different items by their cumulative weights, or all items if there are fewer."""
    drawn: dict[str, None] = {}
    while len(drawn) < min(count, len(shop.items)):
        drawn.update(dict.fromkeys(rng.choices(shop.items, cum_weights=weights, k=count - len(drawn))))
    return list(drawn)
