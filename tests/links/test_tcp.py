"""The link of frames: what arrives, what counts as lost, and the connection that begins as a request of HTTP."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from typing import Any

import pytest
from aiohttp import web

from protocols.service.http import BoundedRunner
from protocols.service.links import frames, tcp
from protocols.service.links.peers import PATH
from protocols.service.links.tcp import TcpLink
from tests.links.conftest import CODEC, Note

WITHIN_S = 5.0
Handler = Callable[[Sequence[Any], Callable[..., None]], None]


def handle_at_once(_: Sequence[Any], handled: Callable[..., None]) -> None:
    handled()


class Receiver:
    """A link behind a server, which can be ended and started again; `handle` handles the messages that arrive."""

    def __init__(self, handle: Handler) -> None:
        self.handle = handle
        self.received: list[str] = []
        self.batches = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.link = TcpLink(self.url, {}, {}, "s", CODEC)
        app = web.Application()
        app.router.add_post(PATH, self._serve)
        self.runner = BoundedRunner(app, access_log=None, shutdown_timeout=WITHIN_S)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", self.port).start()
        self.port = self.runner.addresses[0][1]
        await self.link.start(self._receive)

    async def end(self) -> None:
        await self.runner.cleanup()
        await self.link.stop()

    async def _serve(self, request: web.Request) -> web.Response:
        if request.headers["x-wdm-secret"] != "s":
            return web.Response(status=403)
        assert request.transport is not None
        self.link.accept(request.transport)
        return web.Response()

    def _receive(self, sender: str, messages: Sequence[Any], handled: Callable[..., None]) -> None:
        assert sender == "http://me"
        self.received += [message.text for message in messages]
        self.batches += 1
        self.handle(messages, handled)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(WITHIN_S):
            while len(self.received) < count:
                await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def receiving(handle: Handler = handle_at_once) -> AsyncIterator[Receiver]:
    receiver = Receiver(handle)
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.end()


@contextlib.asynccontextmanager
async def sending(*addresses: str) -> AsyncIterator[TcpLink]:
    link = TcpLink("http://me", {"stock": addresses}, {}, "s", CODEC)
    await link.start(lambda *_: None)
    try:
        yield link
    finally:
        await link.stop()


def send(link: TcpLink, *texts: object) -> None:
    for text in texts:
        link.send("stock", Note("t.0", str(text)))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.002)


async def test_messages_of_one_turn_are_one_frame_and_all_arrive_in_order() -> None:
    async with receiving() as receiver, sending(receiver.url) as link:
        send(link, *range(10))
        await receiver.until(10)
        for number in range(10, 3_000):
            send(link, number)
            if number % 7 == 0:
                await asyncio.sleep(0)
        await receiver.until(3_000)
        assert receiver.received == [str(number) for number in range(3_000)]
        assert (link.counts.messages, link.counts.lost, link.waiting) == (3_000, 0, 0)
        assert link.counts.batches == receiver.batches < 600


async def test_frames_without_an_acknowledgement_are_bounded_and_the_rest_waits() -> None:
    ends: list[Callable[..., None]] = []
    async with receiving(lambda _, handled: ends.append(handled)) as receiver, sending(receiver.url) as link:
        for number in range(200):
            send(link, number)
            await asyncio.sleep(0.001)
        await until(lambda: len(receiver.received) >= 64)
        assert link.waiting > 0
        while len(receiver.received) < 200 or ends:
            for end in ends[:]:
                end()
                ends.remove(end)
            await asyncio.sleep(0.002)
        assert receiver.received == [str(number) for number in range(200)]
        assert link.counts.lost == 0


async def test_what_was_not_acknowledged_when_the_connection_ended_is_lost_and_the_next_message_arrives() -> None:
    async with receiving(lambda *_: None) as receiver, sending(receiver.url) as link:
        send(link, "unhandled")
        await receiver.until(1)
        await receiver.end()
        await until(lambda: link.counts.lost == 1)
        send(link, "to nobody")
        await until(lambda: link.counts.lost == 2)
        await receiver.start()
        send(link, "again")
        await receiver.until(2)
        assert receiver.received == ["unhandled", "again"]
        assert link.counts.lost == 2


async def test_a_peer_that_does_not_acknowledge_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "ACKNOWLEDGED_WITHIN_S", 0.1)
    async with receiving(lambda *_: None) as receiver, sending(receiver.url) as link:
        send(link, "1")
        await until(lambda: link.counts.lost == 1)


async def test_a_frame_is_acknowledged_in_time_though_its_messages_are_not_handled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp, "ACKNOWLEDGE_WITHIN_S", 0.05)
    monkeypatch.setattr(frames, "ACKNOWLEDGED_WITHIN_S", 0.4)
    ends: list[Callable[..., None]] = []
    async with receiving(lambda _, handled: ends.append(handled)) as receiver, sending(receiver.url) as link:
        send(link, "1")
        await receiver.until(1)
        await asyncio.sleep(0.6)
        ends[0]([(Note("t.0", "1"), "full")])  # a rejection after the limit is a dead letter all the same
        send(link, "2")
        await receiver.until(2)
        assert (link.counts.lost, receiver.link.counts.dead_lettered) == (0, 1)


async def test_rejected_and_unreadable_frames_are_dead_letters() -> None:
    def reject(messages: Sequence[Any], handled: Callable[..., None]) -> None:
        handled([(messages[0], "the store says no")])

    async with receiving(reject) as receiver, sending(receiver.url) as link:
        send(link, "1")
        await until(lambda: link.counts.lost == 1)
        assert receiver.link.dead.count == 1
        sender = await _connected(receiver.url, "s")
        assert sender.send(b"nonsense") == 0
        await until(lambda: receiver.link.dead.count == 2)
        sender.close()


async def test_a_frame_that_is_too_long_ends_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "LONGEST_FRAME", 100)
    async with receiving() as receiver:
        lost: list[str] = []
        sender = await _connected(receiver.url, "s", lost.append)
        sender.send(b"x" * 101)
        await until(lambda: lost)
        assert receiver.received == []


async def test_the_server_has_no_part_in_a_connection_that_it_has_handed_over() -> None:
    async with receiving() as receiver, sending(receiver.url) as link:
        send(link, "1")
        await receiver.until(1)
        assert receiver.runner.server is not None
        assert receiver.runner.server.connections == []
        async with asyncio.timeout(1.0):  # it waits for no request
            await receiver.runner.cleanup()
        send(link, "2")
        await receiver.until(2)


async def test_messages_avoid_a_refusing_instance_while_there_is_another() -> None:
    with closing(socket.socket()) as unused:
        unused.bind(("127.0.0.1", 0))  # and does not listen
        refusing = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with receiving() as receiver, sending(refusing, receiver.url) as link:
            send(link, "lost")
            await until(lambda: link.counts.lost)
            send(link, *range(10))
            await receiver.until(10)
            assert link.counts.lost == 1


@pytest.mark.parametrize("address", ["http://127.0.0.1:99999", "no address", "http://127.0.0.1:1"])
async def test_messages_to_what_is_no_peer_are_lost(address: str) -> None:
    async with sending(address) as link:
        for lost in (1, 2):
            send(link, "1")
            await until(lambda lost=lost: link.counts.lost == lost)


async def test_a_server_that_does_not_switch_is_no_peer() -> None:
    async def refuse(_: web.BaseRequest) -> web.Response:
        return web.Response(status=403)

    runner = web.ServerRunner(web.Server(refuse, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with sending(f"http://127.0.0.1:{runner.addresses[0][1]}") as link:
        send(link, "1")
        await until(lambda: link.counts.lost == 1)
    await runner.cleanup()


async def test_a_connection_without_the_secret_is_none() -> None:
    async with receiving() as receiver:
        with pytest.raises(ConnectionError, match="does not switch"):
            await _connected(receiver.url, "guess")


async def _connected(url: str, secret: str, lost: Callable[[str], Any] = lambda _: None) -> frames.FrameSender:
    return await frames.FrameSender.connect(url, secret, lambda *_: None, lost)
