"""A workload of simultaneous checkouts of one item, with fewer pieces than clients."""

from random import Random
from typing import Self

import msgspec

from harness.workload.base import Amount, Client, Count, Rate, Setup, Shop, Workload, call, open_shop_of_many


class FlashSale(Workload, frozen=True, kw_only=True):
    """A flash sale: one checkout for each client, of an order that the set-up has made, for an item with `stock` pieces."""

    clients: Count = 1_000
    rate_per_s: Rate = 1_000_000.0
    stock: Amount = 100

    def lighter(self) -> Self:
        """Return a smaller workload with the same ratio of stock to clients."""
        lighter = super().lighter()
        return msgspec.structs.replace(lighter, stock=max(1, self.stock * lighter.clients // self.clients))

    def setup(self, rng: Random) -> Setup:
        shop = yield from open_shop_of_many(self.clients, 1, 1, self.stock, 1)
        orders = yield [call("create_order", user) for user in shop.users]
        shop.order_pool = [str(order.value) for order in orders]
        yield [call("add_item", order, shop.items[0], 1) for order in shop.order_pool]
        rng.shuffle(shop.order_pool)
        return shop

    def client(self, shop: Shop, number: int, rng: Random) -> Client:  # noqa: ARG002
        yield call("checkout", shop.order_pool[number])
