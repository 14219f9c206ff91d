"""A workload in which all clients buy the same item, which is sold out again and again."""

from random import Random
from typing import Self

import msgspec

from harness.workload.base import Client, Count, Setup, Shop, Workload, call, open_shop, place_order


class HotItem(Workload, frozen=True, kw_only=True):
    """One item with `stock` pieces at first.

    Client 0 is the supplier: it adds `delivery` pieces after every `pause` reads. That is never enough, because only the
    checkouts of the last piece show an oversale.
    """

    users: Count = 100
    credit: Count = 50
    stock: Count = 60
    delivery: Count = 5
    pause: Count = 4

    def lighter(self) -> Self:
        """Return a smaller workload with less stock, or its few clients would never buy the last piece."""
        return msgspec.structs.replace(
            super().lighter(), stock=max(1, self.stock // 15), delivery=max(1, self.delivery // 5)
        )

    def setup(self, rng: Random) -> Setup:  # noqa: ARG002
        return (yield from open_shop([self.credit] * self.users, [(1, self.stock)]))

    def client(self, shop: Shop, number: int, rng: Random) -> Client:
        (item,) = shop.items
        if number == 0:
            yield from self._supply(item)
        while True:
            order = yield from place_order(rng.choice(shop.users), [(item, 1)])
            if order:
                yield call("checkout", order)

    def _supply(self, item: str) -> Client:
        while True:
            for _ in range(self.pause):
                yield call("find_item", item)
            yield call("add_stock", item, self.delivery)
