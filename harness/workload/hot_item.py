"""Everybody wants the same item, and it runs out again and again."""

from random import Random
from typing import Self

import msgspec

from harness.workload.base import Client, Count, Setup, Shop, Workload, call, open_shop, place


class HotItem(Workload, frozen=True, kw_only=True):
    """`stock` there is at first; client 0 is the supplier, who brings `delivery` more after each `pause` looks at it:
    never enough, for it is the last piece that shows who can count.
    """

    users: Count = 100
    credit: Count = 50
    stock: Count = 60
    delivery: Count = 5
    pause: Count = 4

    def lighter(self) -> Self:
        """With so few clients there must be less to sell, or it would never run out."""
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
            order = yield from place(rng.choice(shop.users), [(item, 1)])
            if order:
                yield call("checkout", order)

    def _supply(self, item: str) -> Client:
        while True:
            for _ in range(self.pause):
                yield call("find_item", item)
            yield call("add_stock", item, self.delivery)
