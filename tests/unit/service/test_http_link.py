"""Messages over HTTP: answers ride in responses, and no message waits for ever."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from protocols.service.codec import BadMessage, Codec
from protocols.service.links import Handled, http
from protocols.service.links.dead_letter_log import REMEMBERED, DeadLetterLog
from protocols.service.links.http import HttpLink, RejectedMessage


@dataclass(frozen=True)
class Note:
    txn: str


CODEC = Codec((Note,))
Handler = Callable[["Peer", str, Sequence[Any], Callable[[], None]], None]


class Peer:
    """A link behind a server; `handler` handles the messages that arrive."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.received: list[Note] = []
        self.link = HttpLink("", {}, {}, "s", CODEC)
        self.url = ""

    async def serve(self, request: web.BaseRequest) -> web.Response:
        return web.Response(body=await self.link.answer(await request.read()))

    def receive(self, sender: str, messages: Sequence[Any], handled: Callable[[], None]) -> None:
        self.received += messages
        self._handler(self, sender, messages, handled)


def handle_at_once(_: Peer, __: str, ___: Sequence[Any], handled: Callable[[], None]) -> None:
    handled()


@contextlib.asynccontextmanager
async def peer(handler: Handler = handle_at_once) -> AsyncIterator[Peer]:
    made = Peer(handler)
    runner = web.ServerRunner(web.Server(made.serve, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    made.link = HttpLink(made.url, {}, {}, "s", CODEC)
    await made.link.start(made.receive)
    try:
        yield made
    finally:
        await made.link.stop()
        await runner.cleanup()


async def until_received(by: Peer, count: int) -> None:
    async with asyncio.timeout(5):
        while len(by.received) < count:
            await asyncio.sleep(0.005)


async def test_messages_for_the_sender_of_a_request_ride_in_its_response() -> None:
    def vote(stock: Peer, sender: str, messages: Sequence[Any], handled: Callable[[], None]) -> None:
        def carried_out() -> None:
            for message in messages:
                stock.link.send(sender, Note(f"vote on {message.txn}"))
            handled()

        asyncio.get_running_loop().call_later(0.02, carried_out)

    async with peer() as order, peer(vote) as stock:
        for number in range(10):
            order.link.send(stock.url, Note(str(number)))
        await until_received(order, 10)
        assert [note.txn for note in order.received] == [f"vote on {number}" for number in range(10)]
        assert (order.link.counts.batches, stock.link.counts.batches, stock.link.counts.messages) == (1, 0, 10)


async def test_a_message_after_the_response_is_a_request_of_its_own() -> None:
    async with peer() as order, peer() as stock:
        order.link.send(stock.url, Note("early"))
        await until_received(stock, 1)
        async with asyncio.timeout(5):
            while order.link._peers.of(stock.url).requests:
                await asyncio.sleep(0.005)
        stock.link.send(order.url, Note("late"))
        await until_received(order, 1)
        assert stock.link.counts.batches == 1


async def test_a_message_that_is_never_carried_out_delays_a_response_for_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http, "ANSWER_WITHIN_S", 0.1)

    def never(stock: Peer, sender: str, _: Sequence[Any], __: Callable[[], None]) -> None:
        stock.link.send(sender, Note("something else"))

    async with peer() as order, peer(never) as stock:
        order.link.send(stock.url, Note("1"))
        await until_received(order, 1)


async def test_an_answer_that_cannot_be_read_is_lost() -> None:
    async with peer() as order, peer() as stock:

        async def nonsense(_: bytes) -> bytes:
            return b"nonsense"

        stock.link.answer = nonsense  # type: ignore[method-assign]
        order.link.send(stock.url, Note("1"))
        async with asyncio.timeout(5):
            while not order.link.counts.lost:
                await asyncio.sleep(0.005)


async def test_a_request_that_cannot_be_read_is_refused() -> None:
    async with peer() as stock:
        with pytest.raises(BadMessage):
            await stock.link.answer(b"nonsense")


async def test_waiting_messages_leave_in_bodies_of_limited_size() -> None:
    wanted = [Note(f"{number}".ljust(100_000, "x")) for number in range(30)]
    async with peer() as one, peer() as other:
        for note in wanted:
            one.link.send(other.url, note)
        async with asyncio.timeout(5):
            while len(other.received) < len(wanted):
                await asyncio.sleep(0.01)
    assert set(other.received) == set(wanted)
    assert one.link.counts.lost == 0


def refuse_the_first(_: Peer, __: str, messages: Sequence[Any], handled: Handled) -> None:
    handled([(messages[0], "ERR oops")])


async def test_rejected_messages_are_counted_and_their_sender_is_answered_so() -> None:
    async with peer(refuse_the_first) as stock:
        with pytest.raises(RejectedMessage, match="1 of 2 messages rejected: ERR oops"):
            await stock.link.answer(CODEC.encode("http://127.0.0.1:1", [Note("1"), Note("2")]))
        with pytest.raises(BadMessage):
            await stock.link.answer(b"nonsense")
        assert stock.link.counts.dead_lettered == stock.link.dead.count == 2
        assert stock.link.dead.last()[0]["why"] == "ERR oops"


async def test_messages_for_a_sender_whose_batch_is_rejected_leave_in_a_request() -> None:
    def answer(stock: Peer, sender: str, messages: Sequence[Any], handled: Handled) -> None:
        stock.link.send(sender, Note("answer"))
        refuse_the_first(stock, sender, messages, handled)

    async with peer() as order, peer(answer) as stock:
        with pytest.raises(RejectedMessage):
            await stock.link.answer(CODEC.encode(order.url, [Note("1"), Note("2")]))
        await until_received(order, 1)


async def test_a_rejected_message_of_a_response_is_a_dead_letter_too() -> None:
    def answer(stock: Peer, sender: str, _: Sequence[Any], handled: Handled) -> None:
        stock.link.send(sender, Note("answer"))
        handled()

    async with peer(refuse_the_first) as order, peer(answer) as stock:
        order.link.send(stock.url, Note("1"))
        await until_received(order, 1)
        assert order.link.dead.count == 1


@pytest.mark.parametrize("nowhere", ["injected poison", "http://[", "http://x:99999", ""])
async def test_a_message_to_an_invalid_address_is_lost(nowhere: str) -> None:
    async with peer() as stock:
        stock.link.send(nowhere, Note("1"))
        async with asyncio.timeout(5):
            while not stock.link.counts.lost:
                await asyncio.sleep(0.005)


async def test_dead_letters_are_bounded_in_number_and_size() -> None:
    letters = DeadLetterLog()
    for number in range(3 * REMEMBERED):
        letters.add(b"x" * 10**6, f"{number} " + "y" * 10**5)
    assert (letters.count, len(letters.last())) == (3 * REMEMBERED, REMEMBERED)
    assert letters.last()[-1]["why"].startswith(f"{3 * REMEMBERED - 1} ")
    assert len(str(letters.last())) < REMEMBERED * 1_000
