"""Messages as frames over one connection to each peer, which begins as a request of HTTP and is switched over.

So peers need no other port, and every fault on a link between services meets this transport as well.

      sender                                      receiver
        | -- POST ... upgrade: wdm-messages ------> |  the shared secret is right
        | <----------------- 101 ------------------ |
        | -- [prepare 1, prepare 2] [prepare 3] --> |  one frame for all messages of a turn of the event loop
        | <----- acknowledged 1, acknowledged 0 --- |  all messages of a frame are handled, or `ACKNOWLEDGE_WITHIN_S` is over

Answers of a protocol are messages of their own, over the connection of the other direction. Nothing is sent twice: what was not
acknowledged when its connection ends is lost, and the protocol sends its messages again.
"""

import asyncio
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, cast

import structlog

from protocols.service.codec import BadMessage, Codec
from protocols.service.links import LIMIT_BYTES, MessageCounts, Receive, Rejected
from protocols.service.links.dead_letter_log import DeadLetterLog
from protocols.service.links.frames import FrameReceiver, FrameSender, Status
from protocols.service.links.peers import Peers
from protocols.service.settings import Settings
from protocols.service.tasks import Background

MOST_IN_FRAME = 512
MOST_UNACKNOWLEDGED = 64  # frames to one peer; further messages wait
ACKNOWLEDGE_WITHIN_S = (
    1.0  # while the store is away nothing is handled, and the sender has to see that this process lives
)

log = structlog.get_logger()


class _Peer:
    """One address. `unacknowledged` has the number of messages of each frame that was sent on the present connection."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.waiting: deque[Any] = deque()
        self.connection: FrameSender | None = None
        self.unacknowledged: dict[int, int] = {}
        self.failed_s = -math.inf
        self.busy = False  # it is to be flushed, or connects


def link(settings: Settings, codec: Codec) -> "TcpLink":
    return TcpLink(settings.advertise, settings.peers, settings.routes, settings.secret, codec)


class TcpLink:
    """A link without a broker. `sender` is the address for answers to this process; `peers` and `routes` are as in `Peers`."""

    up = True  # there is no connection that all messages share
    trouble = ""

    def __init__(
        self, sender: str, peers: Mapping[str, Sequence[str]], routes: Mapping[str, str], secret: str, codec: Codec
    ) -> None:
        self._sender = sender
        self._secret = secret
        self._codec = codec
        self._peers = Peers(peers, routes, _Peer)
        self._receivers: set[FrameReceiver] = set()
        self._tasks = Background(log.error)
        self._receive: Receive | None = None
        self.counts = MessageCounts()
        self.dead = DeadLetterLog()

    @property
    def waiting(self) -> int:
        return sum(len(peer.waiting) for peer in self._peers)

    async def start(self, receive: Receive) -> None:
        self._receive = receive

    async def stop(self) -> None:
        await self._tasks.stop()
        for peer in self._peers:
            if peer.connection is not None:
                peer.connection.close()
        for receiver in tuple(self._receivers):
            receiver.close()

    def send(self, to: str, message: Any) -> None:
        peer = self._peers.of(to)
        peer.waiting.append(message)
        self._flush_soon(peer)

    def accept(self, transport: asyncio.Transport) -> None:
        """Take over the connection of a peer that has asked for it."""
        receiver = FrameReceiver(self._handle, self._receivers.discard)
        self._receivers.add(receiver)
        receiver.take_over(transport)

    # ------------------------------------------------------------ sending

    def _flush_soon(self, peer: _Peer) -> None:
        """Send at the end of this turn of the loop, so that all messages of the turn are in one frame."""
        if not peer.busy:
            peer.busy = True
            asyncio.get_running_loop().call_soon(self._flush, peer)

    def _flush(self, peer: _Peer) -> None:
        if peer.connection is None:
            self._tasks.run(self._connect(peer), f"connection to {peer.url}")  # it stays busy until then
            return
        peer.busy = False
        while peer.waiting and len(peer.unacknowledged) < MOST_UNACKNOWLEDGED:
            batch = [peer.waiting.popleft() for _ in range(min(MOST_IN_FRAME, len(peer.waiting)))]
            count, body = self._codec.encode_first(self._sender, batch, LIMIT_BYTES)
            peer.waiting.extendleft(reversed(batch[count:]))
            peer.unacknowledged[peer.connection.send(body)] = count
            self.counts.batches += 1
            self.counts.messages += count

    async def _connect(self, peer: _Peer) -> None:
        def acknowledged(number: int, status: Status) -> None:
            count = peer.unacknowledged.pop(number, 0)
            if status is not Status.HANDLED:
                self.counts.lost += count
            if peer.waiting:
                self._flush_soon(peer)

        def lost(why: str) -> None:
            peer.connection = None
            self._lose(peer, why, sum(peer.unacknowledged.values()))
            peer.unacknowledged.clear()
            if peer.waiting:
                self._flush_soon(peer)

        try:
            peer.connection = await FrameSender.connect(peer.url, self._secret, acknowledged, lost)
            peer.failed_s = -math.inf
        except (TimeoutError, OSError, ValueError) as error:
            # ValueError: the address came with a message, and its sender may have written anything there.
            self._lose(peer, str(error) or type(error).__name__, len(peer.waiting))
            peer.waiting.clear()
        finally:
            peer.busy = False
        if peer.waiting:
            self._flush_soon(peer)

    def _lose(self, peer: _Peer, why: str, count: int) -> None:
        peer.failed_s = asyncio.get_running_loop().time()
        self.counts.lost += count
        log.debug("messages lost", to=peer.url, count=count, reason=why)

    # ------------------------------------------------------------ receiving

    def _handle(self, receiver: FrameReceiver, number: int, body: bytes) -> None:
        assert self._receive is not None
        try:
            sender, messages = self._codec.decode(body)
        except BadMessage as error:
            self._count_dead(body, str(error), 1)
            receiver.acknowledge(number, Status.UNREADABLE)
            return
        self.counts.received += len(messages)

        def handled(rejected: Sequence[Rejected] = ()) -> None:
            limit.cancel()
            if rejected:  # also after the limit
                dead = self._codec.encode(sender, [message for message, _ in rejected])
                self._count_dead(dead, rejected[0][1], len(rejected))
            receiver.acknowledge(number, Status.REJECTED if rejected else Status.HANDLED)

        limit = asyncio.get_running_loop().call_later(
            ACKNOWLEDGE_WITHIN_S, lambda: receiver.acknowledge(number, Status.HANDLED)
        )
        self._receive(sender, messages, cast("Any", handled))

    def _count_dead(self, body: bytes, why: str, messages: int) -> None:
        self.counts.dead_lettered += messages
        self.dead.add(body, why, messages)
