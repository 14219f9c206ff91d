"""Messages as batched POSTs: the messages that are ready for one peer go in one request, at most two requests a peer at a time.

A request is answered once its messages have been carried out, and the response takes along the messages that are ready for
its sender by then, so votes and acknowledgements need no requests of their own:

      coordinator                                participant
          | -- POST [prepare 1, prepare 2] --------> |  writes both records; the votes wait in `peer.waiting`,
          |                                          |  for a request of this peer is unanswered
          | <------------- 200 [vote 1, vote 2] ---- |  both handled, or `ANSWER_WITHIN_S` is over
          | <------------- POST [vote 3] ----------- |  a message that came too late for a response

Nothing is sent twice: a batch that fails is lost, and the protocol sends its messages again.
"""

import asyncio
import math
from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from protocols.service.codec import BadMessage, Codec
from protocols.service.links import LIMIT_BYTES, MessageCounts, Receive, Rejected
from protocols.service.links.dead_letter_log import DeadLetterLog
from protocols.service.links.http_connection import HttpConnection
from protocols.service.links.peers import PATH, SECRET, Peers
from protocols.service.settings import Settings
from protocols.service.tasks import Background

MOST_REQUESTS = 2  # to one peer at a time
MOST_IN_BATCH = 512
ANSWER_WITHIN_S = 1.0  # while the store is away nothing is carried out, and other messages may be ready for the sender

log = structlog.get_logger()


class RejectedMessage(Exception):
    """Some messages of a batch can never be carried out; the others have been."""


class _Peer:
    """One address: the messages that wait for it, and the requests under way in both directions.

    `requests` are ours, `unanswered` are its own. `idle` are open connections without a request; `failed_s` is the time of
    the last failure, by the event loop's clock.
    """

    __slots__ = ("failed_s", "idle", "requests", "unanswered", "url", "waiting")

    def __init__(self, url: str) -> None:
        self.url = url + PATH
        self.waiting: deque[Any] = deque()
        self.idle: list[HttpConnection] = []
        self.failed_s = -math.inf
        self.requests = 0
        self.unanswered = 0

    def take(self, codec: Codec, sender: str) -> tuple[int, bytes]:
        """Remove the first waiting messages, as many as fit one body: `(count, body)`."""
        batch = [self.waiting.popleft() for _ in range(min(MOST_IN_BATCH, len(self.waiting)))]
        count, body = codec.encode_first(sender, batch, LIMIT_BYTES)
        self.waiting.extendleft(reversed(batch[count:]))
        return count, body


def link(settings: Settings, codec: Codec) -> "HttpLink":
    return HttpLink(settings.advertise, settings.peers, settings.routes, settings.secret, codec)


class HttpLink:
    """A link without a broker. `sender` is the address for answers to this process; `peers` and `routes` are as in `Peers`."""

    def __init__(
        self, sender: str, peers: Mapping[str, Sequence[str]], routes: Mapping[str, str], secret: str, codec: Codec
    ) -> None:
        self._sender = sender
        self._headers = {SECRET: secret, "content-type": "application/msgpack"}
        self._codec = codec
        self._peers = Peers(peers, routes, _Peer)
        self._posts = Background(log.error)
        self._receive: Receive | None = None
        self.trouble = ""
        self.counts = MessageCounts()
        self.dead = DeadLetterLog()

    @property
    def up(self) -> bool:
        return True  # there is no connection that all messages share

    @property
    def waiting(self) -> int:
        return sum(len(peer.waiting) for peer in self._peers)

    async def start(self, receive: Receive) -> None:
        self._receive = receive

    async def stop(self) -> None:
        await self._posts.stop()
        for peer in self._peers:
            for connection in peer.idle:
                connection.close()

    def send(self, to: str, message: Any) -> None:
        peer = self._peers.of(to)
        peer.waiting.append(message)
        # While a request of this peer is unanswered, the message waits for its response: see the picture above.
        if not peer.unanswered:
            self._post_soon(peer)

    async def answer(self, body: bytes) -> bytes:
        """Handle a batch of another process; return the batch for the response, empty for none.

        Raises `BadMessage` for a body that is no batch, and `RejectedMessage` if some messages can never be carried out.
        """
        assert self._receive is not None
        try:
            sender, messages = self._codec.decode(body)
        except BadMessage as error:
            self._count_dead(body, str(error), 1)
            raise
        self.counts.received += len(messages)
        peer = self._peers.of(sender)
        peer.unanswered += 1
        loop = asyncio.get_running_loop()
        answerable = loop.create_future()

        def handled(rejected: Sequence[Rejected] = ()) -> None:
            # Also after the limit, when the response has left: late rejections are dead letters all the same.
            self._count_all_dead(sender, rejected)
            if not answerable.done():
                answerable.set_result(rejected)

        limit = loop.call_later(ANSWER_WITHIN_S, handled)
        self._receive(sender, messages, handled)
        try:
            rejected = await answerable
        finally:
            # Also if the peer hangs up and this handler is cancelled: while `unanswered` stayed above 0, no message for the
            # peer would ever leave again.
            limit.cancel()
            peer.unanswered -= 1
        if rejected:
            # A refusal has no room for messages, and none may wait for a response that does not come.
            if peer.waiting:
                self._post_soon(peer)
            raise RejectedMessage(f"{len(rejected)} of {len(messages)} messages rejected: {rejected[0][1]}")
        if not peer.waiting:
            return b""
        count, body = peer.take(self._codec, self._sender)
        if peer.waiting:  # more than one body holds
            self._post_soon(peer)
        self.counts.messages += count
        return body

    def _post_soon(self, peer: _Peer) -> None:
        # With one request at a time a message waits for a whole round trip; with many, batches are small and cost more.
        if peer.requests < MOST_REQUESTS:
            peer.requests += 1
            self._posts.run(self._post_all(peer), f"posts to {peer.url}")

    async def _post_all(self, peer: _Peer) -> None:
        """Post until nothing waits. The task starts at the loop's next turn, so all messages of this turn are waiting."""
        try:
            while peer.waiting:
                await self._post(peer, *peer.take(self._codec, self._sender))
        except Exception:
            if peer.waiting:  # a defect may cost a batch, and never the messages behind it
                asyncio.get_running_loop().call_soon(self._post_soon, peer)
            raise
        finally:
            peer.requests -= 1

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
                self._receive_response(body)
                return
            reason = f"status {status}"
        except (TimeoutError, OSError, ValueError) as error:
            # ValueError: the address came with a message, and its sender may have written anything there.
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

    def _receive_response(self, body: bytes) -> None:
        assert self._receive is not None
        if body:
            sender, messages = self._codec.decode(body)
            self.counts.received += len(messages)
            self._receive(sender, messages, partial(self._count_all_dead, sender))

    def _count_all_dead(self, sender: str, rejected: Sequence[Rejected] = ()) -> None:
        if rejected:
            body = self._codec.encode(sender, [message for message, _ in rejected])
            self._count_dead(body, rejected[0][1], len(rejected))

    def _count_dead(self, body: bytes, why: str, messages: int) -> None:
        self.counts.dead_lettered += messages
        self.dead.add(body, why, messages)
