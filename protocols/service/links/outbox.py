"""The messages of one link that wait for one destination."""

from itertools import islice
from typing import Any

MOST_IN_BATCH = 128


class Outbox:
    """The messages for `to`: `waiting` as a set in order, and the batches that have left and are not confirmed, by number.

    A set: a protocol that repeats a message while the broker is away makes no second copy of it.
    """

    __slots__ = ("to", "unconfirmed", "waiting")

    def __init__(self, to: str) -> None:
        self.to = to
        self.waiting: dict[Any, None] = {}
        self.unconfirmed: dict[int, list[Any]] = {}

    def __len__(self) -> int:
        return len(self.waiting) + sum(map(len, self.unconfirmed.values()))

    def take(self, number: int) -> list[Any]:
        """Move the first waiting messages into a batch of this number, and return them."""
        batch = list(islice(self.waiting, MOST_IN_BATCH))
        for message in batch:
            del self.waiting[message]
        self.unconfirmed[number] = batch
        return batch

    def cut(self, number: int, count: int) -> None:
        """Keep the first `count` messages of a batch; the others wait again, before all that came after them."""
        batch = self.unconfirmed[number]
        self.unconfirmed[number] = batch[:count]
        self.waiting = {**dict.fromkeys(batch[count:]), **self.waiting}

    def put_back(self) -> None:
        """Put all unconfirmed messages back in front: their connection is lost."""
        unsure = [message for batch in self.unconfirmed.values() for message in batch]
        self.waiting = {**dict.fromkeys(unsure), **self.waiting}
        self.unconfirmed.clear()
