"""The common part of every link over a broker: batches, back-pressure, and a new connection after each loss.

Outgoing messages wait in an outbox for each destination, in order, each message once, and leave in batches, a few at a time. A
batch whose arrival is not confirmed is sent again on the next connection. Outboxes are bounded: a message that does not fit is
lost, and the protocol sends it again.

An incoming batch is acknowledged after its effects have been carried out, so the batches that were under way when a process
died are delivered again. Only so many batches are under way at a time: a slow consumer leaves the rest to the broker. Handling
them takes turns with serving HTTP, for both are callbacks of one event loop and neither ever waits for the other.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any, Protocol
from zlib import crc32

import structlog

from protocols.backoff import Backoff
from protocols.errors import UsageError
from protocols.service.bounded_log import LONGEST_TEXT, BoundedLog
from protocols.service.codec import BadMessage, Codec
from protocols.service.links import LIMIT_BYTES, MOST_DEAD_LETTERS, MessageCounts, Receive, Rejected
from protocols.service.links.dead_letter_log import DeadLetterLog
from protocols.service.links.outbox import Outbox
from protocols.service.tasks import Background, SupervisedTasks

MOST_BATCHES_OUT = 2  # to one destination that are not confirmed yet
MOST_WAITING = 20_000  # messages in one outbox
MOST_BATCHES_IN = 64  # that are being carried out
HEAD_BYTES = 10_000  # of a message that is too large, as its dead letter
RECONNECT_MS, LONGEST_RECONNECT_MS = 100.0, 1_000.0

log = structlog.get_logger()


class BrokerLost(Exception):
    """The connection is lost, or does not work."""


class Confirmed(Protocol):
    """Called once the broker certainly has a published batch, or, with False, has no destination for it."""

    def __call__(self, arrived: bool = True, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of messages as it arrived. `done` lets the broker forget it, `reject` makes it a dead letter."""

    body: bytes
    done: Callable[[], None]
    reject: Callable[[str], None]


class Channel(Protocol):
    """One connection to a broker. When it is lost, `batches` or `work` raises `BrokerLost`."""

    def publish(self, to: str, body: bytes, confirmed: Confirmed) -> None:
        """Send a batch; call `confirmed` once its fate is certain. `to` is a destination as the link's `route` made it."""

    def put_aside(self, body: bytes, why: str, confirmed: Confirmed) -> None:
        """Publish a dead letter: the body, or the head of one that is too large, with the reason."""

    def batches(self) -> AsyncIterator[Batch]:
        """Yield the batches for this instance and its service, unfinished ones of a former life included. Never ends."""

    async def work(self) -> None:
        """Do everything else that the connection needs, as long as it lasts."""


class BrokerLink:
    """A link over the channels of a broker.

    `sender` is this instance's name, to which answers go. `open_channel` connects, or raises `BrokerLost`. `route` maps a
    destination and a message to the destination that `publish` receives, so that one service may have several.
    """

    def __init__(
        self,
        sender: str,
        codec: Codec,
        open_channel: Callable[[], AbstractAsyncContextManager[Channel]],
        route: Callable[[str, Any], str] = lambda to, _: to,
    ) -> None:
        self._sender = sender
        self._codec = codec
        self._open_channel = open_channel
        self._route = route
        self._outboxes: dict[str, Outbox] = {}
        self._numbers = count()
        self._too_large: dict[int, None] = {}  # hashes of the latest messages that were put aside, in order
        self._channel: Channel | None = None
        self._dispatch_scheduled = False
        self._tasks = Background(log.error)
        self._receive: Receive = lambda *_: None
        self._log = BoundedLog(log)
        self._trouble = ""
        self._connected_s = math.inf
        self.counts = MessageCounts()
        self.dead = DeadLetterLog()

    @property
    def up(self) -> bool:
        return self._channel is not None

    @property
    def trouble(self) -> str:
        """Return why the link is not up, or was not a moment ago: a connection that is lost at once again is of no use."""
        lasts = self.up and asyncio.get_running_loop().time() - self._connected_s >= LONGEST_RECONNECT_MS / 1000
        return "" if lasts else self._trouble

    @property
    def waiting(self) -> int:
        return sum(map(len, self._outboxes.values()))

    async def start(self, receive: Receive) -> None:
        """Connect in the background: a service serves whether the broker is there or not."""
        self._receive = receive
        self._tasks.keep(self._run, "link")

    async def stop(self) -> None:
        await self._tasks.stop()

    def send(self, to: str, message: Any) -> None:
        try:
            to = self._route(to, message)
        except UsageError:
            # The sender of a message names the destination of its answer, and there is none by that name.
            self.counts.lost += 1
            return
        outbox = self._outboxes.get(to)
        if outbox is None:
            outbox = self._outboxes[to] = Outbox(to)
        if len(outbox.waiting) >= MOST_WAITING and message not in outbox.waiting:
            self.counts.lost += 1
            return
        outbox.waiting[message] = None
        self._dispatch_soon()

    # ------------------------------------------------------------ the connection

    async def _run(self) -> None:
        now, backoff = asyncio.get_running_loop().time, Backoff(RECONNECT_MS, LONGEST_RECONNECT_MS)
        while True:
            self._connected_s = math.inf
            try:
                async with self._open_channel() as channel:
                    self._connected_s = now()
                    log.info("broker connected")
                    await self._serve(channel)
            except BrokerLost as lost:
                self._note(str(lost)[:LONGEST_TEXT], connected=self._connected_s < math.inf)
            if now() - self._connected_s >= LONGEST_RECONNECT_MS / 1000:
                backoff.reset()  # not after a connection that was of no use: it may fail like that for hours
            await asyncio.sleep(backoff.next_s())

    def _note(self, trouble: str, *, connected: bool) -> None:
        """Log why there is no connection: once for each reason, however often it is tried."""
        before, self._trouble = self._trouble, trouble
        if connected:
            self._log.warning("broker lost", error=trouble, waiting=self.waiting)
        elif trouble != before:
            self._log.warning("broker cannot be used", error=trouble)

    async def _serve(self, channel: Channel) -> None:
        for outbox in self._outboxes.values():
            outbox.put_back()
        self._channel = channel
        self._dispatch_soon()
        tasks = SupervisedTasks()
        tasks.start(channel.work(), "link work")
        tasks.start(self._consume(channel), "link consume")
        try:
            await tasks.wait_for_failure()
        finally:
            self._channel = None

    # ------------------------------------------------------------ out

    def _dispatch_soon(self) -> None:
        if self._channel is not None and not self._dispatch_scheduled:
            self._dispatch_scheduled = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._dispatch_scheduled = False
        if self._channel is None:
            return
        for outbox in tuple(self._outboxes.values()):
            # Two at a time: one is on its way while the broker confirms the other. With more of them batches would be smaller
            # and cost more, and a lost connection would repeat more.
            while outbox.waiting and len(outbox.unconfirmed) < MOST_BATCHES_OUT:
                self._publish(outbox, self._channel)

    def _publish(self, outbox: Outbox, channel: Channel) -> None:
        number = next(self._numbers)
        messages = outbox.take(number)
        fitting, body = self._codec.encode_first(self._sender, messages, LIMIT_BYTES)
        if fitting < len(messages):
            outbox.cut(number, fitting)
        if len(body) <= LIMIT_BYTES:
            channel.publish(outbox.to, body, partial(self._confirm, outbox, number))
        else:
            self._put_aside(outbox, number, body, channel)

    def _put_aside(self, outbox: Outbox, number: int, body: bytes, channel: Channel) -> None:
        """Make a dead letter of a single message that is too large for any broker."""
        (message,) = outbox.unconfirmed[number]
        if hash(message) in self._too_large:
            # The protocol sends it again and again, for it is never answered; it is one dead letter all the same.
            del outbox.unconfirmed[number]
            self.counts.lost += 1
            return
        why = f"{type(message).__name__} to {outbox.to} has {len(body)} bytes, {LIMIT_BYTES} are allowed"
        head = body[:HEAD_BYTES]
        channel.put_aside(head, why, partial(self._confirm_aside, outbox, number, hash(message), head, why))

    def _confirm_aside(
        self, outbox: Outbox, number: int, identity: int, head: bytes, why: str, _arrived: bool = True
    ) -> None:
        if outbox.unconfirmed.pop(number, None) is None:
            return  # as in `_confirm`
        self._count_dead(head, why, 1)
        self._too_large[identity] = None
        if len(self._too_large) > MOST_DEAD_LETTERS:
            del self._too_large[next(iter(self._too_large))]
        self._dispatch_soon()

    def _confirm(self, outbox: Outbox, number: int, arrived: bool = True) -> None:
        messages = outbox.unconfirmed.pop(number, None)
        if messages is None:
            # The confirmation of a connection that is lost by now: the batch went back into the outbox and leaves again, under
            # another number. It arrives twice, which every protocol here expects.
            return
        if arrived:
            self.counts.batches += 1
            self.counts.messages += len(messages)
        else:
            self.counts.lost += len(messages)
            self._log.warning("messages without a destination", to=outbox.to, count=len(messages))
        if outbox.waiting:
            self._dispatch_soon()
        elif not outbox.unconfirmed:
            # Each life of an instance in containers is a destination of its own: they would grow in number for ever.
            self._outboxes.pop(outbox.to, None)

    # ------------------------------------------------------------ in

    async def _consume(self, channel: Channel) -> None:
        # Of this connection alone: the batches of the one before are delivered again, and their places with them.
        places = asyncio.Semaphore(MOST_BATCHES_IN)
        async for batch in channel.batches():
            await places.acquire()
            try:
                sender, messages = self._codec.decode(batch.body)
            except BadMessage as error:
                # A dead letter at once. Left unacknowledged it would be delivered again for ever.
                self._count_dead(batch.body, str(error), 1)
                batch.reject(str(error)[:LONGEST_TEXT])
                places.release()
                continue
            self.counts.received += len(messages)
            self._receive(sender, messages, partial(self._handled, channel, batch, sender, places))
            await asyncio.sleep(0)  # a full broker must not keep the loop from the clients' requests

    def _handled(
        self,
        channel: Channel,
        batch: Batch,
        sender: str,
        places: asyncio.Semaphore,
        rejected: Sequence[Rejected] = (),
    ) -> None:
        """Acknowledge a batch. Its rejected messages become a dead letter of their own first; the others are carried out."""
        if rejected:
            body, why = self._codec.encode(sender, [message for message, _ in rejected]), rejected[0][1][:LONGEST_TEXT]
            self._count_dead(body, why, len(rejected))
            # Acknowledged only once the dead letter is safe: a crash in between delivers the whole batch again, instead of
            # losing the only copy of its rejected messages.
            channel.put_aside(body, why, lambda _=True: batch.done())
        else:
            batch.done()
        places.release()

    def _count_dead(self, body: bytes, why: str, messages: int) -> None:
        self.counts.dead_lettered += messages
        self.dead.add(body, why, messages)


class Addresses:
    """The addresses of a broker's nodes, `urls` separated by spaces, in turn. Different senders begin at different ones."""

    def __init__(self, urls: str, sender: str) -> None:
        self._urls = urls.split()
        self._turn = crc32(sender.encode())

    def take(self) -> str:
        """Return all addresses, the next one first."""
        self._turn += 1
        first = self._turn % len(self._urls)
        return " ".join((*self._urls[first:], *self._urls[:first]))


class Collector:
    """Items that are collected until they are taken together."""

    def __init__(self) -> None:
        self._items: list[Any] = []
        self._some = asyncio.Event()

    def add(self, item: Any) -> None:
        self._items.append(item)
        self._some.set()

    async def take(self) -> Sequence[Any]:
        """Wait for an item, and return all that were added since the last call."""
        await self._some.wait()
        self._some.clear()
        items, self._items = self._items, []
        return items
