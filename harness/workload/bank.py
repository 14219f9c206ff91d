"""A workload of few accounts and many transfers: checkouts, deposits and withdrawals, while readers read all balances."""

from random import Random

from harness.workload.base import Amount, Client, Count, Setup, Shop, Workload, call, draw_lines, open_shop, place_order

MOVES = ("add_funds", "pay", "add_stock", "subtract_stock")


class Bank(Workload, frozen=True, kw_only=True):
    """Few users and items with many movements.

    Every third client is a reader; a movement of the others is at most `most`.
    """

    users: Count = 8
    items: Count = 6
    credit: Amount = 300
    stock: Amount = 200
    most: Count = 5

    def setup(self, rng: Random) -> Setup:
        goods = [(rng.randint(1, 3), self.stock) for _ in range(self.items)]
        return (yield from open_shop([self.credit] * self.users, goods))

    def client(self, shop: Shop, number: int, rng: Random) -> Client:
        yield from self._read(shop) if number % 3 == 2 else self._move(shop, rng)

    def _read(self, shop: Shop) -> Client:
        while True:
            for user in shop.users:
                yield call("find_user", user)
            for item in shop.items:
                yield call("find_item", item)

    def _move(self, shop: Shop, rng: Random) -> Client:
        while True:
            if rng.random() < 0.3:
                move = rng.choice(MOVES)
                accounts = shop.users if move in {"add_funds", "pay"} else shop.items
                yield call(move, rng.choice(accounts), rng.randint(1, self.most))
                continue
            order = yield from place_order(rng.choice(shop.users), draw_lines(shop, rng, 2, self.most))
            if order:
                yield call("checkout", order)
