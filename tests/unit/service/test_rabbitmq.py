"""The dead letters of RabbitMQ, on a queue that takes its time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from protocols.service.links import MOST_DEAD_LETTERS, rabbitmq
from protocols.service.links.broker import BrokerLost

LIMIT_S = 0.3


class Letters:
    """A queue of so many letters, each of which takes `each_s` to arrive."""

    def __init__(self, count: int, each_s: float) -> None:
        self.count = count
        self.each_s = each_s

    async def get(self, *, fail: bool) -> SimpleNamespace | None:
        assert not fail
        if self.each_s:
            await asyncio.sleep(self.each_s)
        self.count -= 1
        return SimpleNamespace(body=b"x") if self.count >= 0 else None


async def dead_letters(monkeypatch: pytest.MonkeyPatch, count: int, each_s: float) -> int:
    @asynccontextmanager
    async def connection(_: str) -> AsyncIterator[None]:
        yield

    async def declared(_: object) -> Letters:
        return Letters(count, each_s)

    monkeypatch.setattr(rabbitmq, "ANSWER_WITHIN_S", LIMIT_S)
    monkeypatch.setattr(rabbitmq, "_connection", connection)
    monkeypatch.setattr(rabbitmq, "_dead_letters", declared)
    return len(await rabbitmq.dead_letters("amqp://x"))


async def test_the_limit_is_for_each_of_them_and_not_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await dead_letters(monkeypatch, count=40, each_s=LIMIT_S / 20) == 40


async def test_one_that_does_not_come_costs_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BrokerLost):
        await dead_letters(monkeypatch, count=1, each_s=10 * LIMIT_S)


async def test_no_more_are_read_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that an earlier version made keeps all."""
    assert await dead_letters(monkeypatch, count=MOST_DEAD_LETTERS + 7, each_s=0) == MOST_DEAD_LETTERS
