"""The workloads of an examination that `wdm chaos` does not have: fresh ids only, and amounts that every shop can store."""

from random import Random

from harness.workload.base import Amount, Client, Count, Rate, Setup, Shop, Workload, call, open_shop, place_order
from harness.workload.sets import Sets


class CourseSale(Workload, frozen=True, kw_only=True):
    """The consistency test of the course: all users check out one order each for the same item, at once.

    There are `stock` pieces, each user has `credit` and pays `price`. All ids are fresh: a shop that has seen the ids of a
    `batch_init` before may answer from memory.
    """

    clients: Count = 1_000
    rate_per_s: Rate = 1_000_000.0
    stock: Amount = 100
    credit: Amount = 10
    price: Count = 4

    def setup(self, rng: Random) -> Setup:
        shop = yield from open_shop([self.credit] * self.clients, [(self.price, self.stock)])
        orders = yield [call("create_order", user) for user in shop.users]
        shop.order_pool = [str(order.value) for order in orders]
        yield [call("add_item", order, shop.items[0], 1) for order in shop.order_pool]
        rng.shuffle(shop.order_pool)
        return shop

    def client(self, shop: Shop, number: int, rng: Random) -> Client:  # noqa: ARG002
        yield call("checkout", shop.order_pool[number])


class RefusedSets(Sets, frozen=True, kw_only=True):
    """The workload `sets` with `poor` users without credit: a read that shows an effect of their checkouts is a dirty read."""

    poor: Count = 3

    def setup(self, rng: Random) -> Setup:
        full = 2**self.checkouts - 1
        credit = [full] * (self.users - self.poor) + [0] * self.poor
        shop = yield from open_shop(credit, [(1, full)] * self.items)
        shop.order_pool = list(self.plan(shop, rng))
        return shop


class FailedFirst(Workload, frozen=True, kw_only=True):
    """Orders that fail at first, for lack of credit or of stock, and are checked out again after a deposit.

    Each order has a user and an item of its own, with just enough for two orders, so nothing but the shop can refuse the second
    checkout. It is repeated up to `tries` times; a new order of the same user then shows whether order or user is refused.
    """

    clients: Count = 6
    rate_per_s: Rate = 120.0
    orders: Count = 4
    price: Count = 3
    tries: Count = 50

    def setup(self, rng: Random) -> Setup:  # noqa: ARG002
        total = self.clients * self.orders
        return (yield from open_shop([0] * total, [(self.price, 0)] * total))

    def client(self, shop: Shop, number: int, rng: Random) -> Client:  # noqa: ARG002
        for turn in range(number * self.orders, (number + 1) * self.orders):
            user, item = shop.users[turn], shop.items[turn]
            deposits = [call("add_funds", user, 2 * self.price), call("add_stock", item, 2)]
            first, second = deposits if turn % 2 else reversed(deposits)
            order = yield from place_order(user, [(item, 1)])
            if order is None:
                continue
            yield first
            yield call("checkout", order)
            yield second
            yield from self._insist(order)
            if turn % 4 > 1:
                yield call("checkout", order)
            again = yield from place_order(user, [(item, 1)])
            if again:
                yield from self._insist(again)
                yield call("find_user", user)
                yield call("find_item", item)

    def _insist(self, order: str) -> Client:
        """Check an order out until that succeeds."""
        for _ in range(self.tries):
            if (yield call("checkout", order)).outcome == "ok":
                return
