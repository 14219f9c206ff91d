"""The number of the format in a store: written into an empty one, and data of another number or of none is not read."""

from contextlib import suppress
from typing import Any

import pytest
import redis

from protocols.service import store_format
from protocols.service.store_format import FORMAT, KEY, OtherFormat, check_format


class Handshake:
    """The commands of a handshake on a real server. `before` is called before the command of that name."""

    def __init__(self, server: redis.Redis, **before: Any) -> None:
        self.server = server
        self.before = before

    async def execute(self, *command: Any) -> Any:
        self.before.get(command[0], lambda: None)()
        return self.server.execute_command(*command)


def check(handshake: Handshake) -> None:
    """One step: a reply is never waited for here."""
    with suppress(StopIteration):
        check_format(handshake, "127.0.0.1:1").send(None)  # type: ignore[arg-type]


@pytest.fixture
def empty(server: redis.Redis) -> redis.Redis:
    server.flushall()
    return server


def test_an_empty_store_has_the_number_from_then_on(empty: redis.Redis) -> None:
    check(Handshake(empty))
    assert empty.get(KEY) == str(FORMAT).encode()
    empty.hset("item:0", "balance", "1")
    check(Handshake(empty))


@pytest.mark.parametrize(("number", "words"), [("1", "data of format '1'"), ("x", "data of format 'x'"), ("2", "'2'")])
def test_data_of_another_number_is_refused(empty: redis.Redis, number: str, words: str) -> None:
    empty.set(KEY, number)
    with pytest.raises(OtherFormat, match=f"^the store at 127.0.0.1:1 contains .*{words}, and this wdm reads format 3"):
        check(Handshake(empty))
    assert empty.get(KEY) == number.encode()


def test_data_without_a_number_is_refused(empty: redis.Redis) -> None:
    """As it was before transactions' names had lives: a horizon was a text."""
    empty.hset("horizon", "order-1-deadbeef", "17")
    with pytest.raises(OtherFormat, match=r"contains data without a format number.*: give it an empty store"):
        check(Handshake(empty))
    assert not empty.exists(KEY)


@pytest.mark.parametrize("command", ["GET", "SET"])
def test_another_process_may_be_first(empty: redis.Redis, command: str) -> None:
    def other() -> None:
        check(Handshake(empty))
        empty.hset("item:0", "balance", "1")

    check(Handshake(empty, **{command: other}))
    assert int(empty.get(KEY) or 0) == store_format.FORMAT
