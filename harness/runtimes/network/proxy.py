"""A TCP proxy for every directed link between nodes of a deployment: where faults of the network happen.

One listener a link, one upstream connection for each accepted one, bytes in order and never invented. Where no
rule is on a link, what arrives is written on at once. What a rule holds back waits in a queue of bounded size: when it is
full the proxy stops reading, as a network does.

A cut stalls connections: nothing is read, so nothing is noticed, not even an end. New ones are accepted by the kernel, which
cannot be helped, and go no further until the heal; whoever has hung up by then was never connected.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Hashable, Iterable
from contextlib import suppress
from random import Random
from typing import cast

from harness.runtimes.base import LinkId, Rule
from harness.runtimes.network.shaping import Shape, Shapes, Way
from protocols.service.tasks import Background

LOOPBACK = "127.0.0.1"
BACKLOG = 1024
HIGH, LOW = 256 * 1024, 64 * 1024
CONNECT_WITHIN_S = 5.0
SLICE_S = 0.02  # a slow link delivers in pieces of so many seconds
SLICE_BYTES = 64
CLOSED_WITHIN_S = 1.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

End = bytes | None
"""What can arrive: data, or `b""` for the end of the stream, or None for a reset."""


class Proxy:
    """All links of a deployment. `add` them, `start`, then put rules on them."""

    def __init__(self) -> None:
        self._links: dict[LinkId, ProxiedLink] = {}

    @property
    def wires(self) -> tuple[LinkId, ...]:
        return tuple(self._links)

    def add(self, source: str, to: str, port: int, host: str = LOOPBACK, at: tuple[str, int] = (LOOPBACK, 0)) -> int:
        """A link to a port, of loopback if nothing else is said, listening `at`. Returns the port to go to instead."""
        link = self._links[source, to] = ProxiedLink((host, port), at)
        return link.port

    async def start(self) -> None:
        for link in self._links.values():
            await link.start()

    async def stop(self) -> None:
        """Afterwards there is no listener and no connection."""
        for link in self._links.values():
            link.stop()
        deadline = asyncio.get_running_loop().time() + CLOSED_WITHIN_S
        while any(link.flows for link in self._links.values()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0)  # an aborted transport tells its end at the loop's next turn

    def apply_rule(self, by: Hashable, wires: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        """Put a rule on links, in the name of `by`."""
        for wire in wires:
            self._links[wire].shapes[by] = Shape(rule, rng)
            self._links[wire].reshaped()

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        """Take back what `by` put anywhere; with `reset` the connections it was on are reset."""
        for link in self._links.values():
            if link.shapes.pop(by, None) is not None:
                if reset:
                    link.reset_all()
                link.reshaped()

    async def settled(self) -> None:
        """What is asked is done."""

    def remove_all_rules(self) -> None:
        """Take back every rule."""
        for link in self._links.values():
            if link.shapes:
                link.shapes.clear()
                link.reshaped()


class ProxiedLink:
    """One listener and its connections. `shapes` are the rules on it, by who put them there."""

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
        if self.shapes.cut:
            self._healed.clear()
        else:
            self._healed.set()
        if not self.shapes:
            self.shapes.forget()
        for flow in tuple(self.flows):
            flow.reshaped()

    async def connect(self, flow: "Flow") -> None:
        """The other half of a connection, once nothing is in the way."""
        loop = asyncio.get_running_loop()
        try:
            while self.cut:
                await self._healed.wait()
                if flow.near.over:
                    flow.abort()
                    return
            async with asyncio.timeout(CONNECT_WITHIN_S):
                await loop.create_connection(lambda: flow.far, *self._to)
        except (OSError, TimeoutError):
            flow.reset()
        except Exception:
            flow.reset()  # whatever it was, its client must not wait for ever
            raise


class Flow:
    """A connection through the proxy: its near half was accepted, its far half is connected to the node."""

    def __init__(self, link: ProxiedLink) -> None:
        self.link = link
        self.near = Half(self, "there")
        self.far = Half(self, "back")
        self.near.other, self.far.other = self.far, self.near
        self._connecting: asyncio.Task[None] | None = None

    def accepted(self) -> None:
        self.link.flows[self] = None
        self._connecting = self.link.tasks.run(self.link.connect(self), "proxy connection")
        self._connecting.add_done_callback(self._connected)

    def _connected(self, _: asyncio.Task[None]) -> None:
        self._connecting = None
        self.lost()

    def reshaped(self) -> None:
        for half in (self.near, self.far):
            if not self.link.shapes:
                half.hurry()
            half.push()

    def reset(self) -> None:
        """Both ends see a reset."""
        for half in (self.near, self.far):
            half.reset()

    def abort(self) -> None:
        if self._connecting is not None and self._connecting is not asyncio.current_task():
            self._connecting.cancel()
        for half in (self.near, self.far):
            half.abort()

    def lost(self) -> None:
        """A half is gone; when both are, or the second never came, so is the connection."""
        if self.near.gone and self._connecting is None and (self.far.gone or not self.far.connected):
            self.link.flows.pop(self, None)


class Half(asyncio.Protocol):
    """One socket of a connection. What arrives here is sent to `other`, as the rules say."""

    def __init__(self, flow: Flow, way: Way) -> None:
        self.flow = flow
        self.other: Half = self
        self.over = False  # nothing more will arrive
        self.gone = False  # the socket is closed
        self._way = way
        self._link = flow.link
        self.transport: asyncio.Transport | None = None
        self._queue: deque[tuple[float, End]] = deque()  # due, what; nothing overtakes what is not due yet
        self._queued = 0
        self._timer: asyncio.TimerHandle | None = None
        self.full = False  # the socket takes nothing more at the moment
        self.ended = False  # the end of the stream was sent to the other

    # ------------------------------------------------------------ the socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        if self._way == "there":
            self.flow.accepted()
        self.throttle()
        self.other.push()

    def data_received(self, data: bytes) -> None:
        if not self._link.shapes and not self._queue and self.other.transport is not None:
            self.other.transport.write(data)
        else:
            self._arrived(data)

    def eof_received(self) -> bool:
        if not self.over:
            self.over = True
            self._enqueue(0.0, b"")
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

    # ------------------------------------------------------------ what arrived and waits

    def _arrived(self, data: bytes) -> None:
        shapes = self._link.shapes
        if shapes.breaks():
            self.flow.reset()
            return
        size = max(SLICE_BYTES, int(shapes.bytes_per_s * SLICE_S)) if shapes.bytes_per_s else len(data)
        now = asyncio.get_running_loop().time()
        due = now + shapes.delay_s()
        for at in range(0, len(data), size):
            piece = data[at : at + size]
            self._enqueue(max(due, shapes.through_at(self._way, len(piece), now)), piece)
        self.push()

    def _enqueue(self, due: float, what: End) -> None:
        self._queue.append((due, what))
        self._queued += len(what or b"")

    def hurry(self) -> None:
        """No rule is left: nothing waits for its time any longer."""
        self._queue = deque((0.0, what) for _, what in self._queue)

    def push(self) -> None:
        """Send on what is due, as far as the other socket takes it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        target = self.other.transport
        loop = asyncio.get_running_loop()
        if target is not None and target.is_closing():
            self._queue.clear()  # nobody is there to hear it
            self._queued = 0
        while self._queue and target is not None and not self._link.cut and not self.other.full:
            due, what = self._queue[0]
            if due > loop.time():
                self._timer = loop.call_at(due, self.push)
                break
            self._queue.popleft()
            self._queued -= len(what or b"")
            self._deliver(target, what)
        self.throttle()

    def _deliver(self, target: asyncio.Transport, what: End) -> None:
        if what:
            target.write(what)
        elif what is None:
            self.other.reset()
        else:
            self.ended = True
            with suppress(OSError):
                target.write_eof()
            if self.other.ended:
                self.close()
                self.other.close()

    def throttle(self) -> None:
        """Read only what can be sent on or kept. While a connection waits for its other half, an end must be noticed."""
        transport = self.transport
        if transport is None or transport.is_closing() or self.over:
            return
        stalled = self._link.cut and self.other.transport is not None
        limit = HIGH if transport.is_reading() else LOW
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
        if self.transport is not None and not self.transport.is_closing():
            # Without lingering a close is a reset, even if everything was read.
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
