"""The orders of a round: new orders with the number and the spread of items of a case.

The shop's own commands put the orders into the store, many at a time, before the round begins.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from random import Random

from redis import Redis

from protocols.core import Command
from protocols.service.codec import encode_arguments

THINGS = 10_000  # items, and users
PLENTY = 2**40
HOT, HOT_SHARE = 10, 0.9
BATCH = 1_000


def _uniform(rng: Random, items: int) -> list[int]:
    return rng.sample(range(THINGS), items)


def _hot(rng: Random, items: int) -> list[int]:
    """Return items of which nine out of ten are among the ten most wanted."""
    wanted = {rng.randrange(HOT if rng.random() < HOT_SHARE else THINGS) for _ in range(items)}
    while len(wanted) < items:
        wanted.add(rng.randrange(THINGS))
    return sorted(wanted)


def _single(rng: Random, items: int) -> list[int]:
    """Return items with item 0 among them."""
    return [0, *rng.sample(range(1, THINGS), items - 1)]


SPREADS: dict[str, Callable[[Random, int], list[int]]] = {"uniform": _uniform, "hot": _hot, "single": _single}


class Orders:
    """Numbered orders in the store at `url`; without a store, the numbers of the bare service's items."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._rng = Random(7)
        self._next = 0

    def make(self, count: int, items: int, spread: str) -> Iterator[int]:
        """Make `count` new orders, and return their numbers."""
        if not self._url:
            return itertools.cycle(range(THINGS))
        first, self._next = self._next, self._next + count
        with closing(Redis.from_url(self._url)) as client:
            for begin in range(first, first + count, BATCH):
                pipeline = client.pipeline(transaction=False)
                for number in range(begin, min(begin + BATCH, first + count)):
                    user = str(self._rng.randrange(THINGS))
                    _call(pipeline, Command("create_order", (str(number), user)))
                    for item in SPREADS[spread](self._rng, items):
                        _call(pipeline, Command("add_item", (str(number), str(item), 1, 1)))
                pipeline.execute()
        return iter(range(first, first + count))


def _call(client: Redis, command: Command) -> None:
    now_ms = time.time_ns() // 1_000_000
    client.fcall(f"wdm_{command.name}", 0, encode_arguments(now_ms, command.args))


def fill(urls: dict[str, str]) -> None:
    """Make items and users with large amounts in the stores of their services."""
    for service, prefix in (("stock", "item"), ("payment", "user")):
        with closing(Redis.from_url(urls[service])) as client:
            _call(client, Command("init_accounts", (prefix, 0, THINGS, PLENTY, 1)))
