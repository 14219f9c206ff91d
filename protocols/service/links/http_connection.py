"""A connection that POSTs a body to one address and reads the answer, one request at a time, again and again.

Services send each other nothing else, and a general HTTP client costs several times what the message costs: with 50 clients
aiohttp's took a quarter of the coordinator's time (`docs/performance.md`). The server's side is aiohttp's. Nothing is ever
sent twice.
"""

import asyncio
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

CONNECT_WITHIN_S = 1.0
ANSWER_WITHIN_S = 3.0
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_CLOSE = b"\r\nconnection: close"


class HttpConnection(asyncio.Protocol):
    """One connection, made by `connect`. It is closed for good after its first failure."""

    def __init__(self, head: bytes) -> None:
        self._head = head
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = b""

    @classmethod
    async def connect(cls, url: str, headers: Mapping[str, str]) -> "HttpConnection":
        """Connect to the host of `url`; `headers` go with every request. Raises `OSError` or `TimeoutError`."""
        parts = urlsplit(url)
        lines = "".join(f"{name}: {value}\r\n" for name, value in {"host": parts.netloc, **headers}.items())
        connection = cls(f"POST {parts.path} HTTP/1.1\r\n{lines}content-length: ".encode())
        async with asyncio.timeout(CONNECT_WITHIN_S):
            await asyncio.get_running_loop().create_connection(
                lambda: connection, parts.hostname or "", parts.port or 80
            )
        return connection

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body of the answer. Raises `OSError` or `TimeoutError`."""
        if self._transport is None or not self.usable:
            raise ConnectionResetError("the connection is closed")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[tuple[int, bytes]] = loop.create_future()
        self._answer = answer
        self._transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        limit = loop.call_later(ANSWER_WITHIN_S, self._fail, TimeoutError(f"no answer for {ANSWER_WITHIN_S:g} s"))
        try:
            return await answer
        finally:
            limit.cancel()
            if not answer.done() or answer.cancelled():
                # A late answer would be taken for the one to the next request.
                self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ callbacks of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(_END_OF_HEAD)
        if end < 0:
            return
        head, start = self._received[:end].lower(), end + len(_END_OF_HEAD)
        try:
            status, length = int(head[9:12]), _length(head)
        except ValueError:
            self._fail(ConnectionError(f"no answer of HTTP: {head[:40]!r}"))
            return
        if len(self._received) >= start + length:
            answer, self._received = (status, self._received[start : start + length]), b""
            if _CLOSE in head:
                self.close()
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(answer)

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(ConnectionResetError(str(error or "the other side closed the connection")))

    def _fail(self, error: Exception) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _length(head: bytes) -> int:
    """Return the length of the body according to the head; without a length there is no body."""
    at = head.find(_LENGTH)
    return int(head[at + len(_LENGTH) :].partition(b"\r\n")[0]) if at >= 0 else 0
