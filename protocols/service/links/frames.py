"""Frames over one connection: its two ends. A frame is its length (4 bytes, big-endian) and its body.

The receiver acknowledges each frame by its number on the connection, from 0, and a `Status` (4 bytes and 1).
"""

import asyncio
from collections.abc import Callable
from enum import IntEnum
from struct import Struct
from typing import cast
from urllib.parse import urlsplit

from aiohttp.web_protocol import RequestHandler

from protocols.service.links.peers import PATH, SECRET

UPGRADE = "wdm-messages"
CONNECT_WITHIN_S = 1.0
ACKNOWLEDGED_WITHIN_S = 3.0
LONGEST_FRAME = 64 * 2**20
SWITCHED = f"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {UPGRADE}\r\n\r\n".encode()
_LENGTH = Struct(">I")
_ACKNOWLEDGEMENT = Struct(">IB")
_END_OF_HEAD = b"\r\n\r\n"


class Status(IntEnum):
    """The end of a frame: handled, or some of its messages can never be carried out, or it is no batch of messages."""

    HANDLED = 0
    REJECTED = 1
    UNREADABLE = 2


class FrameSender(asyncio.Protocol):
    """The sender's end, made by `connect`."""

    def __init__(self, acknowledged: Callable[[int, Status], None], lost: Callable[[str], None]) -> None:
        self._acknowledged = acknowledged
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._switched: asyncio.Future[None] = self._loop.create_future()
        self._received = b""
        self._number = 0
        self._unacknowledged: dict[int, float] = {}
        self._watch: asyncio.TimerHandle | None = None

    @classmethod
    async def connect(
        cls, url: str, secret: str, acknowledged: Callable[[int, Status], None], lost: Callable[[str], None]
    ) -> "FrameSender":
        """Connect to the host of `url`. Raises `OSError`, `TimeoutError`, or `ValueError` for what is no address.

        `acknowledged(number, status)` is called for each frame, `lost(why)` once at the end of the connection.
        """
        parts = urlsplit(url)
        sender = cls(acknowledged, lost)
        headers = {"host": parts.netloc, SECRET: secret, "connection": "upgrade", "upgrade": UPGRADE}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        async with asyncio.timeout(CONNECT_WITHIN_S):
            transport, _ = await sender._loop.create_connection(lambda: sender, parts.hostname or "", parts.port or 80)
            try:
                transport.write(f"POST {PATH} HTTP/1.1\r\n{lines}content-length: 0\r\n\r\n".encode())
                await sender._switched
            except BaseException:
                transport.abort()
                raise
        return sender

    def send(self, body: bytes) -> int:
        """Send a frame; return its number. On a connection that is being closed it is lost, as `lost` will say."""
        number, self._number = self._number, (self._number + 1) % 2**32
        self._unacknowledged[number] = self._loop.time()
        if self._transport is not None:
            self._transport.writelines((_LENGTH.pack(len(body)), body))
        if self._watch is None:
            self._watch = self._loop.call_later(ACKNOWLEDGED_WITHIN_S, self._look)
        return number

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _look(self) -> None:
        """End a connection whose oldest frame has waited too long: its peer is paused, or cut off."""
        self._watch = None
        if self._unacknowledged:
            due_s = next(iter(self._unacknowledged.values())) + ACKNOWLEDGED_WITHIN_S
            if due_s <= self._loop.time():
                self.close()
            else:
                self._watch = self._loop.call_at(due_s, self._look)

    # ------------------------------------------------------------ callbacks of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._switched.done():
            head, end, self._received = self._received.partition(_END_OF_HEAD)
            if not end:
                self._received = head
                return
            if not head.startswith(b"HTTP/1.1 101"):
                self._switched.set_exception(ConnectionError(f"it does not switch to messages: {head[:40]!r}"))
                return
            self._switched.set_result(None)
        whole = len(self._received) - len(self._received) % _ACKNOWLEDGEMENT.size
        for number, status in _ACKNOWLEDGEMENT.iter_unpack(self._received[:whole]):
            self._unacknowledged.pop(number, None)
            self._acknowledged(number, Status(status))
        self._received = self._received[whole:]

    def connection_lost(self, error: Exception | None) -> None:
        why = str(error or "the other side closed the connection")
        if self._watch is not None:
            self._watch.cancel()
        if not self._switched.done():
            self._switched.set_exception(ConnectionResetError(why))
        elif not self._switched.cancelled() and self._switched.exception() is None:
            self._lost(why)


class FrameReceiver(asyncio.Protocol):
    """The receiver's end. `handle(receiver, number, body)` receives each frame, `ended(receiver)` the end of the connection."""

    def __init__(
        self, handle: Callable[["FrameReceiver", int, bytes], None], ended: Callable[["FrameReceiver"], None]
    ) -> None:
        self._handle = handle
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._number = 0
        self._unacknowledged: set[int] = set()

    def take_over(self, transport: asyncio.Transport) -> None:
        """Receive from the connection of an HTTP server, which sees it as closed from now on, from within its handler."""
        server = cast("RequestHandler", transport.get_protocol())
        self._transport = transport
        transport.set_protocol(self)
        server.transport = None  # it would close the connection
        server.connection_lost(None)
        transport.write(SWITCHED)

    def acknowledge(self, number: int, status: Status) -> None:
        """Acknowledge a frame, the first time only."""
        if number in self._unacknowledged and self._transport is not None:
            self._unacknowledged.discard(number)
            self._transport.write(_ACKNOWLEDGEMENT.pack(number, status))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ callbacks of the event loop

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        start = 0
        while len(received) >= start + _LENGTH.size:
            (length,) = _LENGTH.unpack_from(received, start)
            if length > LONGEST_FRAME:
                self.close()
                return
            begin = start + _LENGTH.size
            if len(received) < begin + length:
                break
            start = begin + length
            number, self._number = self._number, (self._number + 1) % 2**32
            self._unacknowledged.add(number)
            self._handle(self, number, bytes(received[begin:start]))
        del received[:start]

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self._transport = None
        self._ended(self)
