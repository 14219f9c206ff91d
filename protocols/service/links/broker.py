"""What every link over a broker does alike: batches, back-pressure, and a new connection after each loss.

What is to be sent waits in a box for each destination, in order, each message once, and leaves in batches, a few at a time. A
batch whose arrival is not confirmed is sent again on the next connection. Boxes are bounded: what does not fit is lost,
and the protocol asks again.

What arrives is acknowledged after its effects have been carried out, so whatever was under way when a process died is
delivered again. Only so many parcels are under way at a time: a slow consumer leaves the rest to the broker. Handling them
takes turns with serving HTTP, for both are callbacks of one event loop and neither ever waits for the other.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from typing import Any, Protocol

import structlog

from protocols.errors import UsageError
from protocols.service.bounded_log import LONGEST_TEXT, BoundedLog
from protocols.service.codec import BadMessage, Codec
from protocols.service.links import LIMIT_BYTES, MOST_DEAD_LETTERS, Counts, Receive, Rejected
from protocols.service.links.dead_letter_log import DeadLetterLog
from protocols.service.tasks import Background, SupervisedTasks

BATCH = 128  # messages in a parcel
UNDER_WAY = 2  # parcels to one destination that are not confirmed yet
BOX = 20_000  # messages that may wait for one destination
ROOM = 64  # parcels that are being carried out
HEAD_BYTES = 10_000  # of a message that is too large, as its dead letter
RECONNECT_S = 0.1
RECONNECT_LATEST_S = 1.0

log = structlog.get_logger()


class BrokerLost(Exception):
    """The connection is gone, or was found not to work."""


class Confirmed(Protocol):
    """Called once the broker has what was published for certain, or, with False, has nowhere to put it."""

    def __call__(self, arrived: bool = True, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of messages as it arrived. ``done`` lets the broker forget it, ``bury`` puts it where nobody reads it."""

    body: bytes
    done: Callable[[], None]
    bury: Callable[[str], None]


class Channel(Protocol):
    """One connection to a broker. When it is lost ``parcels`` or ``work`` raises ``BrokerLost``."""

    def publish(self, to: str, body: bytes, confirmed: Confirmed) -> None:
        """Call ``confirmed`` when it is certain what became of it. ``to`` is a service or an instance, as ``route`` made it."""

    def put_aside(self, body: bytes, why: str, confirmed: Confirmed) -> None:
        """Publish a dead letter: the body, or the head of one that is too large, with the reason."""

    def parcels(self) -> AsyncIterator[Batch]:
        """What arrives for this instance and its service, what a former life left unfinished included. Never ends."""

    async def work(self) -> None:
        """Whatever else there is to do while the connection lasts."""


class _Outbox:
    """What waits for one destination, as a set in order, and the batches that have left and are not confirmed."""

    __slots__ = ("to", "under_way", "waiting")

    def __init__(self, to: str) -> None:
        self.to = to
        self.waiting: dict[Any, None] = {}
        self.under_way: dict[int, list[Any]] = {}

    def take(self, number: int) -> list[Any]:
        batch = list(islice(self.waiting, BATCH))
        for message in batch:
            del self.waiting[message]
        self.under_way[number] = batch
        return batch

    def cut(self, number: int, count: int) -> None:
        """Only so many of a batch leave now."""
        batch = self.under_way[number]
        self.under_way[number] = batch[:count]
        self.waiting = {**dict.fromkeys(batch[count:]), **self.waiting}

    def put_back(self) -> None:
        """What was not confirmed goes first."""
        unsure = [message for batch in self.under_way.values() for message in batch]
        self.waiting = {**dict.fromkeys(unsure), **self.waiting}
        self.under_way.clear()


class BrokerLink:
    """``sender`` is this instance's name, to which answers go. ``open_channel`` connects, or raises ``BrokerLost``.

    ``route`` may divide what goes to one destination: it maps that and a message to what ``publish`` is told.
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
        self._boxes: dict[str, _Outbox] = {}
        self._numbers = count()
        self._too_large: dict[int, None] = {}  # hashes of the latest messages that were put aside, in order
        self._channel: Channel | None = None
        self._waking = False
        self._tasks = Background(log.error)
        self._receive: Receive = lambda *_: None
        self._log = BoundedLog(log)
        self._trouble = ""
        self._connected_s = math.inf
        self.counts = Counts()
        self.dead = DeadLetterLog()

    @property
    def up(self) -> bool:
        return self._channel is not None

    @property
    def trouble(self) -> str:
        """Why it is not up, or was not a moment ago: a connection that is lost at once again is of no use."""
        lasts = self.up and asyncio.get_running_loop().time() - self._connected_s >= RECONNECT_LATEST_S
        return "" if lasts else self._trouble

    @property
    def waiting(self) -> int:
        return sum(len(box.waiting) + sum(map(len, box.under_way.values())) for box in self._boxes.values())

    async def start(self, receive: Receive) -> None:
        """Returns at once: a service serves whether the broker is there or not."""
        self._receive = receive
        self._tasks.keep(self._live, "link")

    async def stop(self) -> None:
        await self._tasks.stop()

    def send(self, to: str, message: Any) -> None:
        try:
            to = self._route(to, message)
        except UsageError:  # whoever sent a message says where its answer goes: there is no such place
            self.counts.lost += 1
            return
        box = self._boxes.get(to)
        if box is None:
            box = self._boxes[to] = _Outbox(to)
        if len(box.waiting) >= BOX and message not in box.waiting:
            self.counts.lost += 1
            return
        box.waiting[message] = None
        self._dispatch_soon()

    # ------------------------------------------------------------ the connection

    async def _live(self) -> None:
        now, pause_s = asyncio.get_running_loop().time, RECONNECT_S
        while True:
            self._connected_s = math.inf
            try:
                async with self._open_channel() as channel:
                    self._connected_s = now()
                    log.info("broker connected")
                    await self._serve(channel)
            except BrokerLost as lost:
                self._note(str(lost)[:LONGEST_TEXT], connected=self._connected_s < math.inf)
            if now() - self._connected_s >= RECONNECT_LATEST_S:
                pause_s = RECONNECT_S  # not after a connection that was of no use
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RECONNECT_LATEST_S)

    def _note(self, trouble: str, *, connected: bool) -> None:
        """Once for each reason, however often it is tried."""
        before, self._trouble = self._trouble, trouble
        if connected:
            self._log.warning("broker lost", error=trouble, waiting=self.waiting)
        elif trouble != before:
            self._log.warning("broker cannot be used", error=trouble)

    async def _serve(self, channel: Channel) -> None:
        for box in self._boxes.values():
            box.put_back()
        crew = SupervisedTasks()
        crew.add(channel.work(), "link work")
        crew.add(self._consume(channel), "link consume")
        self._channel = channel
        self._dispatch_soon()
        try:
            await crew.until_one_fails()
        finally:
            self._channel = None

    # ------------------------------------------------------------ out

    def _dispatch_soon(self) -> None:
        """At the loop's next turn: by then everything this one has to say is waiting."""
        if not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        self._waking = False
        if self._channel is None:
            return
        for box in tuple(self._boxes.values()):
            while box.waiting and len(box.under_way) < UNDER_WAY:
                self._leave(box, self._channel)

    def _leave(self, box: _Outbox, channel: Channel) -> None:
        number = next(self._numbers)
        batch = box.take(number)
        count, body = self._codec.encode_first(self._sender, batch, LIMIT_BYTES)
        if count < len(batch):
            box.cut(number, count)
        if len(body) <= LIMIT_BYTES:
            channel.publish(box.to, body, partial(self._confirmed, box, number))
        else:
            self._put_aside(box, number, body, channel)

    def _put_aside(self, box: _Outbox, number: int, body: bytes, channel: Channel) -> None:
        """A single message that is too large. The protocol repeats it, and it is one dead letter all the same."""
        (message,) = box.under_way[number]
        if hash(message) in self._too_large:
            del box.under_way[number]
            self.counts.lost += 1
            return
        why = f"{type(message).__name__} to {box.to} has {len(body)} bytes, {LIMIT_BYTES} are allowed"
        head = body[:HEAD_BYTES]
        channel.put_aside(head, why, partial(self._aside, box, number, hash(message), head, why))

    def _aside(self, box: _Outbox, number: int, identity: int, head: bytes, why: str, _: bool = True) -> None:
        if box.under_way.pop(number, None) is None:
            return
        self._count_dead(head, why, 1)
        self._too_large[identity] = None
        if len(self._too_large) > MOST_DEAD_LETTERS:
            del self._too_large[next(iter(self._too_large))]
        self._dispatch_soon()

    def _confirmed(self, box: _Outbox, number: int, arrived: bool = True) -> None:
        batch = box.under_way.pop(number, None)
        if batch is None:
            return  # it went back into the box when its connection was lost
        if arrived:
            self.counts.batches += 1
            self.counts.messages += len(batch)
        else:
            self.counts.lost += len(batch)
            self._log.warning("messages without a destination", to=box.to, count=len(batch))
        if box.waiting:
            self._dispatch_soon()
        elif not box.under_way:
            self._boxes.pop(box.to, None)  # there may be many destinations over time

    # ------------------------------------------------------------ in

    async def _consume(self, channel: Channel) -> None:
        room = asyncio.Semaphore(ROOM)  # of this connection: what the last one brought is none of it
        async for parcel in channel.parcels():
            await room.acquire()
            try:
                sender, messages = self._codec.decode(parcel.body)
            except BadMessage as error:
                self._count_dead(parcel.body, str(error), 1)
                parcel.bury(str(error)[:LONGEST_TEXT])
                room.release()
                continue
            self.counts.received += len(messages)
            self._receive(sender, messages, partial(self._handled, channel, parcel, sender, room))
            await asyncio.sleep(0)  # others' turn, however much there is to read

    def _handled(
        self,
        channel: Channel,
        parcel: Batch,
        sender: str,
        room: asyncio.Semaphore,
        rejected: Sequence[Rejected] = (),
    ) -> None:
        """What can never be carried out goes to the dead letters, by itself; with that the parcel is done with."""
        if rejected:
            body, why = self._codec.encode(sender, [message for message, _ in rejected]), rejected[0][1][:LONGEST_TEXT]
            self._count_dead(body, why, len(rejected))
            channel.put_aside(body, why, lambda _=True: parcel.done())
        else:
            parcel.done()
        room.release()

    def _count_dead(self, body: bytes, why: str, messages: int) -> None:
        self.counts.dead_lettered += messages
        self.dead.add(body, why, messages)


class Done:
    """Parcels that are done with, collected until they are taken together."""

    def __init__(self) -> None:
        self._found: list[Any] = []
        self._some = asyncio.Event()

    def add(self, what: Any) -> None:
        self._found.append(what)
        self._some.set()

    async def take(self) -> Sequence[Any]:
        """All that was added since the last time, at least one."""
        await self._some.wait()
        self._some.clear()
        found, self._found = self._found, []
        return found
