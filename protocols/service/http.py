"""HTTP servers with bounded costs for hostile clients: time, connections and log lines.

Every server of this project is made here: of the services, the gateway and the report pages.

- A connection must complete the head of a request within `HEAD_WITHIN_S` of its opening or of the head's first byte, however
  slowly its bytes arrive, and may be idle for `IDLE_S` between two requests.
- Connections beyond the limit that the open-files limit allows are answered 429 at once: nothing happened.
- Input that is no HTTP is answered 400 and costs at most one log line, at level debug.
- A log line is bounded in length, and all log lines together in rate.
"""

import asyncio
import fcntl
import hmac
import json
import logging
import os
import resource
import socket
import sys
import termios
import time
import traceback
from contextlib import suppress
from typing import Any, TextIO, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler

LOOPBACK, LOOPBACK_6 = "127.0.0.1", "::1"
BACKLOG = 4_096  # connections of a gateway that wait to be accepted
HEAD_WITHIN_S = 10.0
BODY_WITHIN_S = 10.0
IDLE_S = (
    75.0  # longer than the gateway keeps a connection to a service, so that it never sends on one that is being closed
)
IDLE_POLL_S = 0.01
KEPT_FILES = 32  # for logs, stores, brokers and the listening sockets
MOST_CONNECTIONS = 16_384
LONGEST_LINE = 400
LONGEST_TRACE = 4_000
LINES_PER_S = 10

_FULL = b'{"error":"too many connections; nothing happened, try again later"}'
_REFUSAL = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
    % (len(_FULL), _FULL)
)

compact = json.JSONEncoder(separators=(",", ":")).encode


def json_response(body: Any, status: int = 200) -> web.Response:
    """Return a response with `body` as JSON without spaces, as in the course's template."""
    return web.json_response(body, status=status, dumps=compact)


def most_connections(files: int | None = None) -> int:
    """Return the limit of connections for a limit of open files (None: that of this process): half of those not reserved."""
    if files is None:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(4, min((files - KEPT_FILES) // 2, MOST_CONNECTIONS))


class BoundedHandler(RequestHandler):
    """One connection."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = cast("BoundedServer", self._manager)
        if len(server.connections) >= server.limit:
            self._force_close = True
            writer = cast("asyncio.Transport", transport)
            writer.write(_REFUSAL)
            writer.close()
            return
        super().connection_made(transport)
        self._close_at(self._loop.time() + server.head_within_s)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._waiter is not None and not self._waiter.done() and not self._force_close:
            server = cast("BoundedServer", self._manager)
            self._close_at(self._loop.time() + server.head_within_s)

    def close_if_idle(self) -> None:
        """Close the connection, unless it has a request: one under way, or one that only the kernel has read."""
        if self._waiter is None or self._waiter.done() or self.transport is None:
            return
        handle = self.transport.get_extra_info("socket").fileno()
        if handle < 0 or any(fcntl.ioctl(handle, termios.FIONREAD, bytes(4))):
            return
        # The loop closes a transport in a later turn: a request that arrived before would be lost.
        with suppress(OSError), socket.socket(fileno=os.dup(handle)) as connection:
            connection.shutdown(socket.SHUT_RDWR)
        self.force_close()

    def _close_at(self, at: float) -> None:
        """Close the connection at that time if it still waits for a request; a former, earlier time stays."""
        if at >= self._next_keepalive_close_time and self._keepalive_handle is not None:
            return
        self._next_keepalive_close_time = at
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
        self._keepalive_handle = self._loop.call_at(at, self._process_keepalive)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer as aiohttp does, but log no error and no traceback for a client's malformed request."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        self.logger.debug("malformed request: %s", message)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer is under way, it cannot become another one")
        answer = json_response({"error": f"malformed request: {ascii(message)[1 : LONGEST_LINE // 2]}"}, status)
        answer.force_close()
        return answer


class BoundedServer(web.Server):
    """An `aiohttp.web.Server` with at most `limit` connections; None derives it from the limit of open files."""

    def __init__(
        self, handler: Any, *, limit: int | None = None, head_within_s: float = HEAD_WITHIN_S, **kwargs: Any
    ) -> None:
        kwargs.setdefault("keepalive_timeout", IDLE_S)
        kwargs.setdefault("access_log", None)
        super().__init__(handler, **kwargs)
        self.limit = most_connections() if limit is None else limit
        self.head_within_s = head_within_s

    def __call__(self) -> RequestHandler:
        return BoundedHandler(self, loop=self._loop, **self._kwargs)


class BoundedRunner(web.AppRunner):
    """An `AppRunner` whose server is a `BoundedServer`."""

    def __init__(self, app: web.Application, *, head_within_s: float = HEAD_WITHIN_S, **kwargs: Any) -> None:
        super().__init__(app, **kwargs)
        self._head_within_s = head_within_s

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return BoundedServer(
            made.request_handler,
            request_factory=made.request_factory,
            head_within_s=self._head_within_s,
            **made._kwargs,  # noqa: SLF001 - an application offers no other way to a server of one's own
        )


async def listen(runner: web.BaseRunner, host: str, port: int, backlog: int = 128) -> int:
    """Serve at `host` and, if that is 127.0.0.1, at ::1 too, to which some clients resolve `localhost` first.

    Return the port; for 0 it is any free one. Raises `OSError` if `host` cannot be listened on; a machine without IPv6, or with
    another server on that port of ::1, is no error.
    """
    await web.TCPSite(runner, host, port, backlog=backlog).start()
    bound_port = int(runner.addresses[0][1])
    if host == LOOPBACK:
        with suppress(OSError):
            await web.TCPSite(runner, LOOPBACK_6, bound_port, backlog=backlog).start()
    return bound_port


async def stop_listening(runner: web.BaseRunner) -> None:
    """Close the listening sockets of a runner. A connection that the kernel has already accepted is served."""
    for site in tuple(runner.sites):
        listening = site._server.sockets if site._server is not None else ()  # type: ignore[attr-defined]  # noqa: SLF001
        kept = [socket.socket(fileno=os.dup(each.fileno())) for each in listening]
        await site.stop()
        for each in kept:
            waiting = _accepted(each)
            each.close()  # before any other step: a connection that arrives between the last accept and here is reset
            for connection in waiting:
                assert runner.server is not None
                await asyncio.get_running_loop().connect_accepted_socket(runner.server, connection)


def _accepted(listening: socket.socket) -> list[socket.socket]:
    """Return the connections in the queue of a listening socket."""
    listening.setblocking(False)
    connections = []
    while True:
        try:
            connections.append(listening.accept()[0])
        except BlockingIOError:
            return connections


async def until_idle(server: BoundedServer, within_s: float, grace_s: float) -> None:
    """Return once a server without listening sockets has no connection, or after `within_s`.

    Idle connections stay open for `grace_s`, so that a client learns from the next answer to leave (`force_close`).
    """
    now = asyncio.get_running_loop().time
    began = now()
    while server.connections and now() < began + within_s:
        await asyncio.sleep(IDLE_POLL_S)
        if now() >= began + grace_s:
            for connection in server.connections:
                cast("BoundedHandler", connection).close_if_idle()


def has_secret(request: web.BaseRequest, header: str, secret: bytes) -> bool:
    """Return whether the request's `header` is the `secret`; the comparison takes constant time and accepts any bytes."""
    return hmac.compare_digest(request.headers.get(header, "").encode("utf-8", "surrogateescape"), secret)


async def body_of(request: web.BaseRequest) -> bytes:
    """Return the whole body. Raises `HTTPRequestTimeout` (408) if it does not arrive, `HTTPRequestEntityTooLarge` (413)."""
    if request.headers.get("Expect", "").lower() == "100-continue" and not isinstance(request, web.Request):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # an application's router has sent this already
        request.writer.output_size = 0
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            return await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the request's body did not arrive in time; nothing happened") from None


class LibraryLog(logging.Handler):
    """A handler for libraries' log records: one JSON line each, like the services' own, bounded in length and in rate."""

    def __init__(self, stream: TextIO | None = None, lines_per_s: int = LINES_PER_S) -> None:
        super().__init__(logging.WARNING)
        self._stream = stream
        self._rate = lines_per_s
        self._second = 0
        self._lines = 0
        self._left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines > self._rate:
            self._left_out += 1
            return
        line = {"event": _bounded(record.getMessage(), LONGEST_LINE), "level": record.levelname.lower()}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = _bounded("".join(traceback.format_exception(*record.exc_info)), LONGEST_TRACE)
        if self._left_out:
            line["left_out"] = str(self._left_out)
            self._left_out = 0
        print(compact({"logger": record.name, **line}), file=self._stream or sys.stderr, flush=True)


def _bounded(text: str, most: int) -> str:
    """Return the text, without its middle where it is too long: both ends carry most of the meaning."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"


def bound_logs() -> None:
    """Send the log records of all libraries of this process through one `LibraryLog` to stderr."""
    logging.basicConfig(handlers=[LibraryLog()], level=logging.WARNING, force=True)
