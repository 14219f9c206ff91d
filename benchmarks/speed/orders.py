"""What is checked out: a new order each time, with so many items, spread over the shop as a case wants it.

Orders are put into the store with the shop's own commands, many at a time, before a round begins.
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
    """Nine out of ten items of an order are among the ten that everybody wants."""
    wanted = {rng.randrange(HOT if rng.random() < HOT_SHARE else THINGS) for _ in range(items)}
    while len(wanted) < items:
        wanted.add(rng.randrange(THINGS))
    return sorted(wanted)


def _single(rng: Random, items: int) -> list[int]:
    """Item 0 is in every order."""
    return [0, *rng.sample(range(1, THINGS), items - 1)]


SPREADS: dict[str, Callable[[Random, int], list[int]]] = {"uniform": _uniform, "hot": _hot, "single": _single}


class Orders:
    """Numbered orders in the store at ``url``; without one, numbers of the bare service's items."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._rng = Random(7)
        self._next = 0

    def make(self, count: int, items: int, spread: str) -> Iterator[int]:
        """The numbers of so many new orders."""
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
    """Items and users with plenty, in the stores of the services that keep them."""
    for service, prefix in (("stock", "item"), ("payment", "user")):
        with closing(Redis.from_url(urls[service])) as client:
            _call(client, Command("init_accounts", (prefix, 0, THINGS, PLENTY, 1)))
