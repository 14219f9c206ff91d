"""A workload of distinct powers of two, with which a balance is the exact set of the checkouts in it.

Each checkout of a user or an item takes a power of two that no other checkout of it takes; prices are 1, all accounts
are filled before the load, and no client adds to them. `harness.checkers.sets` derives the sets, and isolation is judged by them.
"""

from random import Random
from typing import Annotated

import msgspec

from harness.workload.base import Client, Count, Setup, Share, Shop, Workload, call, open_shop, place_order

BITS = 50
"""The most checkouts for one key: amounts are at most 2^53, and so is their sum."""

Bits = Annotated[int, msgspec.Meta(ge=2, le=BITS)]


class Sets(Workload, frozen=True, kw_only=True):
    """At most `checkouts` for each user and item, of orders with one, two or four items.

    `pairs` is the share of orders with two items, `fours` with four.
    `readers` is the share of clients that only read. A buyer without further orders reads too. `again` is the probability of a
    second checkout after one that did not succeed.
    """

    users: Count = 16
    items: Count = 16
    checkouts: Bits = 48
    pairs: Share = 0.3
    fours: Share = 0.0
    readers: Share = 0.4
    again: Share = 0.7

    def setup(self, rng: Random) -> Setup:
        full = 2**self.checkouts - 1
        shop = yield from open_shop([full] * self.users, [(1, full)] * self.items)
        shop.order_pool = list(self.plan(shop, rng))
        return shop

    def plan(self, shop: Shop, rng: Random) -> list[tuple[str, list[tuple[str, int]]]]:
        """Draw all orders, as (user, [(item, quantity), ...]); one for which no unused amount is left is skipped."""
        free = {key: set(range(self.checkouts)) for key in (*_named("user", shop.users), *_named("item", shop.items))}
        orders = []
        for _ in range(self.users * self.checkouts):
            user = rng.choice(shop.users)
            items = rng.sample(shop.items, self._lines(len(shop.items), rng))
            own, others = free["user", user], [free["item", item] for item in items]
            # Two items of 2^k each cost their user 2^(k+1), four 2^(k+2).
            more = len(items).bit_length() - 1
            bits = sorted(bit for bit in set.intersection(*others) if bit + more in own)
            if bits:
                bit = rng.choice(bits)
                own.discard(bit + more)
                for other in others:
                    other.discard(bit)
                orders.append((user, [(item, 2**bit) for item in items]))
        return orders

    def _lines(self, most: int, rng: Random) -> int:
        share = rng.random()
        lines = 2 if share < self.pairs else 4 if share < self.pairs + self.fours else 1
        return lines if lines <= most else 1

    def client(self, shop: Shop, number: int, rng: Random) -> Client:
        buyers = max(1, round(self.clients * (1 - self.readers)))
        if number < buyers:
            for user, lines in shop.order_pool[number::buyers]:
                order = yield from place_order(user, lines)
                if order:
                    yield from self._buy(order, user, lines, rng)
        while True:
            yield call("find_user", rng.choice(shop.users))
            yield call("find_item", rng.choice(shop.items))

    def _buy(self, order: str, user: str, lines: list[tuple[str, int]], rng: Random) -> Client:
        """Check out, perhaps again if that did not succeed, and read one of the balances that it changed."""
        response = yield call("checkout", order)
        if response.outcome != "ok" and rng.random() < self.again:
            yield call("checkout", order)
        yield rng.choice((call("find_order", order), call("find_user", user), call("find_item", lines[0][0])))


def _named(kind: str, ids: list[str]) -> list[tuple[str, str]]:
    return [(kind, name) for name in ids]
