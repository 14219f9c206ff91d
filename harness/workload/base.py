"""The base of workloads: a value with its settings, a set-up, and the clients.

Set-up and clients are generators: they yield calls and are sent the recorded operations. They do no I/O and read no
clock, so that a seed and the same answers always give the same calls, and a test needs no shop.

The reads at the end of a run are no part of a workload: they cover every user, item and order that the history names
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
"""The factor by which a `lighter` workload is smaller, and the least size of its settings."""


class Call(NamedTuple):
    """One operation of the public contract (`harness.workload.client.OPERATIONS`) with its arguments."""

    op: str
    args: tuple[str | int, ...] = ()


def call(op: str, *args: str | int) -> Call:
    """Return the call of `op` with these arguments."""
    return Call(op, args)


@dataclass(slots=True)
class Shop:
    """The ids of the users and items that the set-up has made, with the `prices` of the items.

    `order_pool` belongs to the workload: orders that its clients share.
    """

    users: list[str]
    items: list[str]
    prices: list[int]
    order_pool: list[Any] = field(default_factory=list)


Setup = Generator[list[Call], list[Operation], Shop]
"""A generator of rounds: lists of calls without an order among them. It is sent their operations, all with outcome `ok`."""

Client = Generator[Call, Operation, None]
"""A generator of single calls, which is sent the operation of each. It may end; at the end of the load it is dropped."""


class Workload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A workload with its settings, which are the fields of the class.

    Each of the `clients` has one call at a time, at most `rate_per_s` calls a second together. For `burst_s` seconds before
    each fault the rate has no limit: a fast shop has few transactions under way at any moment, and a fault that meets none
    proves nothing.
    """

    clients: Count = 16
    rate_per_s: Rate = 200.0
    burst_s: Seconds = 0.0

    def __post_init__(self) -> None:
        """Raise `UsageError` for a setting out of its bounds: the constructor of a struct checks no types."""
        for setting in msgspec.structs.fields(type(self)):
            try:
                msgspec.convert(getattr(self, setting.name), setting.type)
            except msgspec.ValidationError as error:
                raise UsageError(f"{setting.name} = {getattr(self, setting.name)!r}: {error}") from None

    reads_untouched: ClassVar[bool] = True
    """Whether the reads at the end of a run include objects that no operation has named since they were made."""

    def lighter(self) -> Self:
        """Return the same workload on a small scale, for the simulator: many small runs find more than one large run."""
        fewer = {
            name: max(least, round(getattr(self, name) / LIGHTER[name]))
            for name, least in LEAST.items()
            if hasattr(self, name)
        }
        rate_per_s = max(SLOWEST_PER_S, self.rate_per_s / LIGHTER["rate_per_s"])
        return msgspec.structs.replace(self, rate_per_s=rate_per_s, **fewer)

    def setup(self, rng: Random) -> Setup:
        """Return the generator that makes the shop. It draws from `rng` only."""
        raise NotImplementedError

    def client(self, shop: Shop, number: int, rng: Random) -> Client:
        """Return the generator of the calls of client `number`, from 0 to `clients` - 1. It draws from `rng` only."""
        raise NotImplementedError


def stream(seed: int | str, name: str) -> Random:
    """Return the random numbers of one purpose: one draw more of this purpose changes no draw of another."""
    return Random(f"{seed}:{name}")


def open_shop(user_credits: Sequence[int], goods: Sequence[tuple[int, int]]) -> Setup:
    """Make users with these credits, and items of these (price, stock)."""
    users = [str(creation.value) for creation in (yield [call("create_user")] * len(user_credits))]
    items = [str(creation.value) for creation in (yield [call("create_item", price) for price, _ in goods])]
    funds = [call("add_funds", user, credit) for user, credit in zip(users, user_credits, strict=True) if credit]
    stock = [call("add_stock", item, amount) for item, (_, amount) in zip(items, goods, strict=True) if amount]
    yield funds + stock
    return Shop(users, items, [price for price, _ in goods])


def open_shop_of_many(users: int, credit: int, items: int, stock: int, price: int) -> Setup:
    """Make users with `credit` each, items of this price and `stock` each, in two requests: their ids are numbers."""
    yield [call("init_users", users, credit), call("init_items", items, stock, price)]
    return Shop([str(number) for number in range(users)], [str(number) for number in range(items)], [price] * items)


def place_order(user: str, lines: Sequence[tuple[str, int]]) -> Generator[Call, Operation, str | None]:
    """Make an order with these (item, quantity) lines and return its id; None if a step did not certainly succeed."""
    creation = yield call("create_order", user)
    if creation.outcome != "ok":
        return None
    order = str(creation.value)
    for item, quantity in lines:
        addition = yield call("add_item", order, item, quantity)
        if addition.outcome != "ok":
            return None
    return order


def draw_lines(shop: Shop, rng: Random, most_lines: int, most_each: int) -> list[tuple[str, int]]:
    """Draw from 1 to `most_lines` different items with a quantity from 1 to `most_each` each."""
    chosen = rng.sample(shop.items, rng.randint(1, min(most_lines, len(shop.items))))
    return [(item, rng.randint(1, most_each)) for item in chosen]


def random_read(shop: Shop, rng: Random, order: str | None = None) -> Call:
    """Return the read of a random balance, or half of the time of `order` if there is one."""
    if order and rng.random() < 0.5:
        return call("find_order", order)
    return (
        call("find_user", rng.choice(shop.users)) if rng.random() < 0.5 else call("find_item", rng.choice(shop.items))
    )


def draw_balances(total: int, poor: float, rng: Random, most: int) -> Iterator[int]:
    """Draw `total` balances from half of `most` up to `most`; a share `poor` of them is at most 3."""
    for _ in range(total):
        yield rng.randint(0, 3) if rng.random() < poor else rng.randint(most // 2, most)
