"""What a workload is: a value with its settings, a set-up, and what each client does next.

Set-up and clients are generators that yield what to ask and are sent what came of it. They do no I/O and read no
clock, so that a seed and the same answers always give the same questions, and a test needs no shop.

What is read at the end is no workload's business: every user, item and order that the history names
(`harness.run.quiescence`).
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import msgspec

from harness.history import Operation
from protocols.errors import UsageError

SLOWEST_PER_S = 1e-4
Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Amount = Annotated[int, msgspec.Meta(ge=0, le=1_000_000_000)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Rate = Annotated[float, msgspec.Meta(ge=SLOWEST_PER_S, le=1_000_000)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=10)]


LIGHTER = {"clients": 8, "users": 10, "items": 10, "rate_per_s": 30}
LEAST = {"clients": 4, "users": 3, "items": 3}
"""How much smaller a `lighter` workload is, and what it still has at least."""


class Call(NamedTuple):
    """One operation of the public contract, see `harness.workload.client.OPERATIONS`."""

    op: str
    args: tuple[str | int, ...] = ()


def call(op: str, *args: str | int) -> Call:
    return Call(op, args)


@dataclass(slots=True)
class Shop:
    """What the set-up made, by id; `prices` of `items`. `order_pool` is for workloads whose clients share something."""

    users: list[str]
    items: list[str]
    prices: list[int]
    order_pool: list[Any] = field(default_factory=list)


Setup = Generator[list[Call], list[Operation], Shop]
"""Yields rounds of calls which may all be made at once, and is sent what came of each; all of them must succeed."""

Client = Generator[Call, Operation, None]
"""Yields one call after another, and is sent what came of it. May end; the load's end just stops asking it."""


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields are the settings. `clients` ask one thing at a time, at most `rate_per_s` together.

    `burst_s`: for so long before each fault nobody waits for a turn. A shop that is fast has little under way at any one moment,
    and what breaks while nothing is under way proves nothing.
    """

    clients: Count = 16
    rate_per_s: Rate = 200.0
    burst_s: Seconds = 0.0

    def __post_init__(self) -> None:
        """Raise `UsageError` for a setting out of its bounds: a constructor looks at no types."""
        for one in msgspec.structs.fields(type(self)):
            try:
                msgspec.convert(getattr(self, one.name), one.type)
            except msgspec.ValidationError as error:
                raise UsageError(f"{one.name} = {getattr(self, one.name)!r}: {error}") from None

    reads_untouched: ClassVar[bool] = True
    """Whether the end of a run also reads what was made and that nobody has asked for since."""

    def lighter(self) -> Self:
        """The same on a small scale, for the simulator: there many small runs find more than one large one does."""
        fewer = {
            name: max(least, round(getattr(self, name) / LIGHTER[name]))
            for name, least in LEAST.items()
            if hasattr(self, name)
        }
        rate_per_s = max(SLOWEST_PER_S, self.rate_per_s / LIGHTER["rate_per_s"])
        return msgspec.structs.replace(self, rate_per_s=rate_per_s, **fewer)

    def setup(self, rng: Random) -> Setup:
        raise NotImplementedError

    def client(self, shop: Shop, number: int, rng: Random) -> Client:
        """What client `number`, from 0 to `clients` - 1, does."""
        raise NotImplementedError


def stream(seed: int | str, name: str) -> Random:
    """The random numbers of one purpose: a draw more here reshuffles nothing elsewhere."""
    return Random(f"{seed}:{name}")


def open_shop(credit_each: Sequence[int], goods: Sequence[tuple[int, int]]) -> Setup:
    """Users with these credit_each, and items of these (price, stock)."""
    users = [str(made.value) for made in (yield [call("create_user")] * len(credit_each))]
    items = [str(made.value) for made in (yield [call("create_item", price) for price, _ in goods])]
    funds = [call("add_funds", user, credit) for user, credit in zip(users, credit_each, strict=True) if credit]
    stock = [call("add_stock", item, amount) for item, (_, amount) in zip(items, goods, strict=True) if amount]
    yield funds + stock
    return Shop(users, items, [price for price, _ in goods])


def open_shop_of_many(users: int, credit: int, items: int, stock: int, price: int) -> Setup:
    """Users with `credit` each, items of this price and `stock` each, made in two requests: their ids are numbers."""
    yield [call("init_users", users, credit), call("init_items", items, stock, price)]
    return Shop([str(number) for number in range(users)], [str(number) for number in range(items)], [price] * items)


def place(user: str, lines: Sequence[tuple[str, int]]) -> Generator[Call, Operation, str | None]:
    """A new order with these (item, quantity); None if any step of it did not certainly succeed."""
    made = yield call("create_order", user)
    if made.outcome != "ok":
        return None
    order = str(made.value)
    for item, quantity in lines:
        added = yield call("add_item", order, item, quantity)
        if added.outcome != "ok":
            return None
    return order


def some_lines(shop: Shop, rng: Random, most_lines: int, most_each: int) -> list[tuple[str, int]]:
    """Up to `most_lines` different items, up to `most_each` of each."""
    chosen = rng.sample(shop.items, rng.randint(1, min(most_lines, len(shop.items))))
    return [(item, rng.randint(1, most_each)) for item in chosen]


def look(shop: Shop, rng: Random, order: str | None = None) -> Call:
    """Read a random balance, or now and then the order."""
    if order and rng.random() < 0.5:
        return call("find_order", order)
    return (
        call("find_user", rng.choice(shop.users)) if rng.random() < 0.5 else call("find_item", rng.choice(shop.items))
    )


def split(total: int, poor: float, rng: Random, most: int) -> Iterator[int]:
    """`total` balances up to `most`, of which a share `poor` has next to nothing."""
    for _ in range(total):
        yield rng.randint(0, 3) if rng.random() < poor else rng.randint(most // 2, most)
