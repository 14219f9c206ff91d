"""One link of the proxy: a listener, its connections, and the queues in which rules delay the data.

    client --- near half | flow | far half --- node        one listener a link, one flow a connection
               data_received -> _queue of (due, item) -> push -> other half

Each accepted connection has one upstream connection, with bytes in order and never invented. On a link without a rule a piece
of data is written on as it arrives. A piece that a rule delays waits in a queue of bounded size: when that is full the proxy
stops reading, as a network does.
"""

import asyncio
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import cast

from harness.runtimes.network.shaping import Direction, Shapes
from protocols.service.tasks import Background

BACKLOG = 1024
HIGH, LOW = 256 * 1024, 64 * 1024
CONNECT_WITHIN_S = 5.0
SLICE_S = 0.02  # a slow link delivers in pieces of so many seconds
SLICE_BYTES = 64
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Item = bytes | None
"""A piece of data, or `b""` for the end of the stream, or None for a reset."""


class ProxiedLink:
    """One listener and its connections. `shapes`: the rules on the link."""

    def __init__(self, to: tuple[str, int], at: tuple[str, int]) -> None:
        self.shapes = Shapes()
        self.flows: dict[Flow, None] = {}
        self.tasks = Background()
        self._to = to
        self._socket = socket.create_server(at, backlog=BACKLOG)
        self._server: asyncio.Server | None = None
        self._healed = asyncio.Event()
        self._healed.set()

    @property
    def port(self) -> int:
        return cast("int", self._socket.getsockname()[1])

    @property
    def cut(self) -> bool:
        return not self._healed.is_set()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Flow(self).near, sock=self._socket, backlog=BACKLOG)

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self._socket.close()
        for flow in tuple(self.flows):
            flow.abort()

    def reset_all(self) -> None:
        for flow in tuple(self.flows):
            flow.reset()

    def reshaped(self) -> None:
        """Have every connection follow the present rules."""
        if self.shapes.cut:
            self._healed.clear()
        else:
            self._healed.set()
        if not self.shapes:
            self.shapes.forget()
        for flow in tuple(self.flows):
            flow.reshaped()

    async def connect(self, flow: "Flow") -> None:
        """Connect the far half of a connection, after the end of a cut. A failure resets the near half."""
        loop = asyncio.get_running_loop()
        try:
            while self.cut:  # another cut may have begun before this task ran again
                await self._healed.wait()
                # Through a real cut no client connects and closes; the node must not see a connection of that kind either.
                if flow.near.over:
                    flow.abort()
                    return
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await loop.create_connection(lambda: flow.far, *self._to)
        except (OSError, TimeoutError):
            flow.reset()
        except Exception:
            flow.reset()  # after a defect as well: the client must not wait for ever
            raise


class Flow:
    """A connection through the proxy: its near half was accepted from the client, its far half is connected to the node."""

    def __init__(self, link: ProxiedLink) -> None:
        self.link = link
        self.near = Half(self, "forward")
        self.far = Half(self, "backward")
        self.near.other, self.far.other = self.far, self.near
        self._connecting: asyncio.Task[None] | None = None

    def accepted(self) -> None:
        """Begin to connect the far half."""
        self.link.flows[self] = None
        self._connecting = self.link.tasks.run(self.link.connect(self), "proxy connection")
        self._connecting.add_done_callback(self._connected)

    def _connected(self, _: asyncio.Task[None]) -> None:
        self._connecting = None
        self.lost()

    def reshaped(self) -> None:
        """Have both halves follow the present rules."""
        for half in (self.near, self.far):
            if not self.link.shapes:
                half.drop_delays()
            half.push()

    def reset(self) -> None:
        """Reset the connections of both ends."""
        for half in (self.near, self.far):
            half.reset()

    def abort(self) -> None:
        """Close both halves at once, and drop their queues."""
        # `connect` itself may be the caller: a task that cancels itself would not come to the halves.
        if self._connecting is not None and self._connecting is not asyncio.current_task():
            self._connecting.cancel()
        for half in (self.near, self.far):
            half.abort()

    def lost(self) -> None:
        """Remove the connection from its link if both halves are gone, or the far one was never connected."""
        if self.near.gone and self._connecting is None and (self.far.gone or not self.far.connected):
            self.link.flows.pop(self, None)


class Half(asyncio.Protocol):
    """One socket of a connection. It queues its data for the `other` half, which sends them on by the rules of the link."""

    def __init__(self, flow: Flow, direction: Direction) -> None:
        self.flow = flow
        self.other: Half = self
        self.over = False  # no more data will arrive
        self.gone = False  # the socket is closed
        self._direction = direction
        self._link = flow.link
        self.transport: asyncio.Transport | None = None
        self._queue: deque[tuple[float, Item]] = (
            deque()
        )  # (due in seconds, item); an item that is not due holds up those behind it
        self._queued = 0
        self._timer: asyncio.TimerHandle | None = None
        self.full = False  # the socket takes no more data at the moment
        self.ended = False  # the end of the stream was sent to the other

    # ------------------------------------------------------------ the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._direction == "forward":
            self.flow.accepted()
        self.throttle()
        self.other.push()

    def data_received(self, data: bytes) -> None:
        # The common case, for speed. It needs an empty queue: otherwise these bytes would overtake those of an ended rule.
        if not self._link.shapes and not self._queue and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self._arrived(data)

    def eof_received(self) -> bool:
        if not self.over:
            self.over = True
            self._enqueue(0.0, b"")  # in the queue, or the end would overtake delayed data and lose it
            self.push()
        return True  # the other direction stays open

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = self.gone = True
        if exc is not None:
            self._enqueue(0.0, None)
            self.push()
        self.flow.lost()

    def pause_writing(self) -> None:
        self.full = True
        self.other.throttle()

    def resume_writing(self) -> None:
        self.full = False
        self.other.push()

    # ------------------------------------------------------------ the queue

    def _arrived(self, data: bytes) -> None:
        shapes = self._link.shapes
        if shapes.breaks():
            self.flow.reset()
            return
        # A slow link delivers small pieces one after another. In one piece all data would come at the end of their time.
        size = max(SLICE_BYTES, int(shapes.bytes_per_s * SLICE_S)) if shapes.bytes_per_s else len(data)
        now = asyncio.get_running_loop().time()
        due = now + shapes.delay_s()
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self._enqueue(max(due, shapes.through_at(self._direction, len(piece), now)), piece)
        self.push()

    def _enqueue(self, due: float, item: Item) -> None:
        self._queue.append((due, item))
        self._queued += len(item or b"")

    def drop_delays(self) -> None:
        """Make every queued item due now, as no rule is left. The order stays."""
        self._queue = deque((0.0, item) for _, item in self._queue)

    def push(self) -> None:
        """Send every due item to the other half, as far as its socket takes it.

        It is called after each of the events that can end a wait: new data, the due time, a change of the rules, the other
        half's connection, and space in the other socket.
        """
        # At most one timer a half: each call looks at the head of the queue anew, and an old timer would only call it twice.
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        target = self.other.transport
        loop = asyncio.get_running_loop()
        # The other end is gone. Its data would fill the queue, `throttle` would stop reading, and the end of this side would
        # never be noticed.
        if target is not None and target.is_closing():
            self._queue.clear()
            self._queued = 0
        # Each condition has the event that calls again: the connection (`connection_made`), the heal (`reshaped`), space
        # (`resume_writing`).
        while self._queue and target is not None and not self._link.cut and not self.other.full:
            due, item = self._queue[0]
            if due > loop.time():
                # Not the next item: jitter may have made that due earlier, but TCP keeps its order.
                self._timer = loop.call_at(due, self.push)
                break
            self._queue.popleft()
            self._queued -= len(item or b"")
            self._deliver(target, item)
        self.throttle()  # the queue is shorter: this half may read again

    def _deliver(self, target: asyncio.Transport, item: Item) -> None:
        if item:
            target.write(item)
        elif item is None:
            self.other.reset()
        else:
            self.ended = True
            with suppress(OSError):  # the other end may have reset the connection meanwhile
                target.write_eof()
            # Only after both ends: with a close at the first one, a client that has finished sending would lose its response.
            if self.other.ended:
                self.close()
                self.other.close()

    def throttle(self) -> None:
        """Pause or resume reading, so that the queue stays bounded."""
        transport = self.transport
        if transport is None or transport.is_closing() or self.over:
            return
        # A cut stalls a whole connection. A half that waits for its far half reads on: `connect` has to notice that the client
        # has closed, or it would connect without a client after the heal.
        stalled = self._link.cut and self.other.transport is not None
        limit = HIGH if transport.is_reading() else LOW  # two limits, or reading would switch with every piece
        if stalled or self.other.full or self._queued > limit:
            transport.pause_reading()
        else:
            transport.resume_reading()

    # ------------------------------------------------------------ ends

    @property
    def connected(self) -> bool:
        return self.transport is not None

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """Close the socket with a reset, and drop the queue."""
        if self.transport is not None and not self.transport.is_closing():
            # With a linger time of zero a close sends a reset, also if all data was read.
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.abort()

    def abort(self) -> None:
        self._forget()
        if self.transport is not None:
            self.transport.abort()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
        self._queued = 0
