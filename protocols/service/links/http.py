"""Messages as batched POSTs: all that is ready for one peer goes in one request, two requests a peer under way at a time.

A request is answered once its messages have been carried out, with whatever there is to say to its sender by then: votes and
acknowledgements need no requests of their own. Nothing is sent twice: a batch that fails is lost; the protocol repeats.
"""

import asyncio
import itertools
import math
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from protocols.service.codec import BadMessage, Codec
from protocols.service.links import LIMIT_BYTES, Counts, Receive, Rejected
from protocols.service.links.dead_letter_log import DeadLetterLog
from protocols.service.links.http_connection import HttpConnection
from protocols.service.settings import Settings
from protocols.service.tasks import Background

PATH = "/internal/messages"
SECRET = "x-wdm-secret"  # noqa: S105 - the header's name
UNDER_WAY = 2
BATCH = 512
PASS_OVER_S = 2.0  # an instance to which a request failed, while the service has another one
ANSWER_WITHIN_S = 1.0  # with a store that is away nothing is carried out, and there may be other things to say

log = structlog.get_logger()


class RejectedMessage(Exception):
    """The messages could be read, and some of them can never be carried out; the others have been."""


class _Peer:
    """One address: what waits for it, how many requests to it are under way, and how many of its own are not answered yet.

    ``idle`` are connections that nothing is under way on, ``failed_s`` is when a request to it failed, by the loop's clock.
    """

    __slots__ = ("failed_s", "idle", "unanswered", "under_way", "url", "waiting")

    def __init__(self, url: str) -> None:
        self.url = url + PATH
        self.waiting: deque[Any] = deque()
        self.idle: list[HttpConnection] = []
        self.failed_s = -math.inf
        self.under_way = 0
        self.unanswered = 0

    def take(self, codec: Codec, sender: str) -> tuple[int, bytes]:
        """The first messages that wait, as many as one body may hold: ``(count, body)``; they wait no more."""
        batch = [self.waiting.popleft() for _ in range(min(BATCH, len(self.waiting)))]
        count, body = codec.encode_first(sender, batch, LIMIT_BYTES)
        self.waiting.extendleft(reversed(batch[count:]))
        return count, body


def link(settings: Settings, codec: Codec) -> "HttpLink":
    return HttpLink(settings.advertise, settings.peers, settings.routes, settings.secret, codec)


class HttpLink:
    """``peers`` maps a service to the addresses of its instances, ``sender`` is where answers to this one go.

    ``routes`` maps an instance's address to the one by which this process reaches it, where that is another.
    """

    def __init__(
        self, sender: str, peers: Mapping[str, Sequence[str]], routes: Mapping[str, str], secret: str, codec: Codec
    ) -> None:
        self._sender = sender
        self._routes = routes
        self._several = {service: len(addresses) for service, addresses in peers.items()}
        self._instances = {service: itertools.cycle(addresses) for service, addresses in peers.items()}
        self._headers = {SECRET: secret, "content-type": "application/msgpack"}
        self._codec = codec
        self._peers: dict[str, _Peer] = {}
        self._posts = Background(log.error)
        self._receive: Receive | None = None
        self.trouble = ""
        self.counts = Counts()
        self.dead = DeadLetterLog()

    @property
    def up(self) -> bool:
        return True  # each message finds out for itself

    @property
    def waiting(self) -> int:
        return sum(len(peer.waiting) for peer in self._peers.values())

    async def start(self, receive: Receive) -> None:
        self._receive = receive

    async def stop(self) -> None:
        await self._posts.stop()
        for peer in self._peers.values():
            for connection in peer.idle:
                connection.close()

    def send(self, to: str, message: Any) -> None:
        peer = self._one_of(to) if to in self._instances else self._peer(to)
        peer.waiting.append(message)
        if not peer.unanswered:
            self._post_soon(peer)

    async def answer(self, body: bytes) -> bytes:
        """What another process has to say; returns what there is to say to it.

        Raises ``BadMessage`` for what cannot be read, and ``RejectedMessage`` if some of it can never be carried out.
        """
        assert self._receive is not None
        try:
            sender, messages = self._codec.decode(body)
        except BadMessage as error:
            self._bury(body, str(error), 1)
            raise
        self.counts.received += len(messages)
        peer = self._peer(sender)
        peer.unanswered += 1
        loop = asyncio.get_running_loop()
        over = loop.create_future()

        def answer_now(rejected: Sequence[Rejected] = ()) -> None:
            self._bury_all(sender, rejected)
            if not over.done():
                over.set_result(rejected)

        limit = loop.call_later(ANSWER_WITHIN_S, answer_now)
        self._receive(sender, messages, answer_now)
        try:
            rejected = await over
        finally:
            limit.cancel()
            peer.unanswered -= 1
        if rejected:
            if peer.waiting:
                self._post_soon(peer)
            raise RejectedMessage(f"{len(rejected)} of {len(messages)} messages rejected: {rejected[0][1]}")
        if not peer.waiting:
            return b""
        count, body = peer.take(self._codec, self._sender)
        if peer.waiting:
            self._post_soon(peer)
        self.counts.messages += count
        return body

    def _one_of(self, service: str) -> _Peer:
        """The next instance in turn: one that failed just now is passed over, as long as there is another.

        Else each message to it would be lost and repeated much later, while everything waits that its transaction holds.
        """
        now = asyncio.get_running_loop().time()
        peer = self._peer(next(self._instances[service]))
        for _ in range(self._several[service] - 1):
            if now - peer.failed_s >= PASS_OVER_S:
                break
            peer = self._peer(next(self._instances[service]))
        return peer

    def _peer(self, address: str) -> _Peer:
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = _Peer(self._routes.get(address, address))
        return peer

    def _post_soon(self, peer: _Peer) -> None:
        if peer.under_way < UNDER_WAY:
            peer.under_way += 1
            self._posts.run(self._post_all(peer), f"posts to {peer.url}")

    async def _post_all(self, peer: _Peer) -> None:
        """The task starts at the loop's next turn: by then everything this turn had to say is waiting."""
        try:
            while peer.waiting:
                await self._post(peer, *peer.take(self._codec, self._sender))
        except Exception:
            if peer.waiting:  # a defect may cost a batch, and never what waits behind it
                asyncio.get_running_loop().call_soon(self._post_soon, peer)
            raise
        finally:
            peer.under_way -= 1

    async def _post(self, peer: _Peer, count: int, batch: bytes) -> None:
        self.counts.batches += 1
        self.counts.messages += count
        try:
            connection = await self._connection(peer)
            status, body = await connection.post(batch)
            if connection.usable:
                peer.idle.append(connection)
            peer.failed_s = -math.inf
            if status in (200, 204):
                self._hear(body)
                return
            reason = f"status {status}"
        except (TimeoutError, OSError, ValueError) as error:  # a sender may have said that it is at no address
            reason = str(error) or type(error).__name__
            peer.failed_s = asyncio.get_running_loop().time()
        self.counts.lost += count
        log.debug("messages lost", to=peer.url, count=count, reason=reason)

    async def _connection(self, peer: _Peer) -> HttpConnection:
        while peer.idle:
            connection = peer.idle.pop()
            if connection.usable:
                return connection
        return await HttpConnection.connect(peer.url, self._headers)

    def _hear(self, body: bytes) -> None:
        assert self._receive is not None
        if body:
            sender, messages = self._codec.decode(body)
            self.counts.received += len(messages)
            self._receive(sender, messages, partial(self._bury_all, sender))

    def _bury_all(self, sender: str, rejected: Sequence[Rejected] = ()) -> None:
        if rejected:
            body = self._codec.encode(sender, [message for message, _ in rejected])
            self._bury(body, rejected[0][1], len(rejected))

    def _bury(self, body: bytes, why: str, messages: int) -> None:
        self.counts.dead_lettered += messages
        self.dead.add(body, why, messages)
