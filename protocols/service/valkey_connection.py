"""A connection to a Valkey server: commands leave at once, replies arrive one by one in the same order.

RESP (the server's protocol) is written and read here and nowhere else: a general client's own way of sending and reading costs
more for each command than the command (`docs/performance.md`). A connection is closed for good after its first failure, and
repeats nothing: which command is repeated, and when, is the caller's decision.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import hiredis

from protocols.errors import UsageError

REPLY_WITHIN_S = 3.0
DEFAULT_PORT = 6379
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


class ServerError(Exception):
    """An error reply, in the server's words."""


class BrokenReply(Exception):
    """Bytes of the server that are no RESP."""


LOST = (ServerError, BrokenReply, OSError, TimeoutError)
"""The exceptions that a connection may end with."""

Command = tuple[Any, ...]
OnReply = Callable[[Any], None]
OnLost = Callable[[BaseException], None]


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """The host and port of a server, and the credentials for a connection. `tls` is None for plain TCP."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    tls: ssl.SSLContext | None = None

    @classmethod
    def parse(cls, url: str) -> "ServerAddress":
        """Parse `redis[s]://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?ssl_ca_certs=FILE&ssl_certfile=FILE&ssl_keyfile=FILE]`.

        Raises `UsageError` that names the part which is wrong, and never the password.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss"):
            raise UsageError(f"a Valkey server's URL starts with redis:// or rediss://, not {parts.scheme!r}")
        database = parts.path.strip("/") or "0"
        if not (database.isascii() and database.isdecimal()):
            raise UsageError(f"a Valkey server's URL ends with the number of a database, not {parts.path!r}")
        try:
            port = parts.port or DEFAULT_PORT
        except ValueError:
            raise UsageError("a Valkey server's URL has a port from 1 to 65535, or none") from None
        options = dict(parse_qsl(parts.query))
        for name in options:
            if parts.scheme == "redis" or name not in TLS_OPTIONS:
                known = ", ".join(TLS_OPTIONS)
                raise UsageError(
                    f"a Valkey server's URL has no option {name!r}; a rediss:// URL has: {known}; redis:// has none"
                )
        return cls(
            unquote(parts.hostname or "127.0.0.1"),
            port,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            int(database),
            _tls(options) if parts.scheme == "rediss" else None,
        )


def _tls(options: dict[str, str]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        if "ssl_certfile" in options:
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"))
    except OSError as error:  # a missing file, or an `ssl.SSLError`: no certificate in it
        raise UsageError(f"a Valkey server's URL names TLS files that cannot be used: {error}") from None
    return context


class ValkeyConnection(asyncio.Protocol):
    """One connection, made by `open`.

    `on_reply` receives each reply; an error reply is a `ServerError`. If it raises one of `LOST`, the connection ends with
    that. `on_lost` receives the error that ended the connection, once, and nothing after `close`. A server that owes a reply for
    `reply_within_s` (None: `REPLY_WITHIN_S`) has failed.
    """

    def __init__(self, on_reply: OnReply, on_lost: OnLost, reply_within_s: float | None = None) -> None:
        self._reply_within_s = reply_within_s or REPLY_WITHIN_S
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._replies = hiredis.Reader(protocolError=BrokenReply, replyError=ServerError)
        self._owed = 0
        self._last_sign_s = 0.0  # of the last bytes of the server, or of the first command while it owed nothing
        self._closed = False

    @classmethod
    async def open(
        cls,
        address: ServerAddress,
        on_reply: OnReply,
        on_lost: OnLost,
        setup: "Setup | None" = None,
        reply_within_s: float | None = None,
    ) -> "ValkeyConnection":
        """Connect and authenticate; `setup` may execute further commands. Raises one of `LOST` if any of that fails."""
        handshake = Handshake()
        connection = cls(handshake.on_reply, handshake.on_lost, reply_within_s)
        try:
            # One limit for all of it: a network that is cut right after TCP's own handshake leaves a server that will never
            # answer to AUTH, and nothing else would notice.
            async with asyncio.timeout(connection._reply_within_s):
                await connection._loop.create_connection(
                    lambda: connection, address.host, address.port, ssl=address.tls
                )
                handshake.connection = connection
                await handshake.run(address)
                if setup is not None:
                    await setup(handshake)
        except BaseException:
            connection.close()
            raise
        connection._on_reply, connection._on_lost = on_reply, on_lost
        return connection

    def write(self, packed: bytes, replies: int) -> None:
        """Send packed commands, to which the server owes so many replies."""
        assert self._transport is not None
        if not self._owed:
            self._last_sign_s = self._loop.time()
        self._owed += replies
        try:
            self._transport.write(packed)
        except RuntimeError as error:
            # uvloop raises this for a connection that was reset a moment ago, where asyncio only warns. At the next turn: the
            # caller is in the middle of a send, and `on_lost` would take back commands that it still accounts for.
            self._loop.call_soon(self.fail, ConnectionResetError(str(error)))

    def fail(self, error: BaseException) -> None:
        """End the connection with `error`, as if it had been lost."""
        if not self._closed:
            self.close()
            self._on_lost(error)

    def close(self) -> None:
        """End the connection; `on_lost` is not called."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()

    # ------------------------------------------------------------ callbacks of the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        self._last_sign_s = self._loop.time()
        replies, on_reply = self._replies, self._on_reply
        try:
            replies.feed(data)
            while (reply := replies.gets()) is not False:
                self._owed -= 1
                on_reply(reply)
        except LOST as error:
            # The replies behind this one are dropped with the connection: their commands are repeated, or unknown.
            self.fail(error)

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(ConnectionResetError(str(error or "the server closed the connection")))

    def _watch(self) -> None:
        """End a connection whose server owes a reply and is silent: a paused server, or a cut network, keeps TCP open."""
        if self._closed:
            return
        silent_s = self._loop.time() - self._last_sign_s if self._owed else 0.0
        if silent_s >= self._reply_within_s:
            self.fail(TimeoutError(f"no answer for {self._reply_within_s:g} s"))
        else:
            # Exactly when the limit may end: a fixed period would find a server silent for up to twice as long.
            self._loop.call_later(self._reply_within_s - silent_s, self._watch)


class Handshake:
    """The first commands of a connection, one at a time."""

    def __init__(self) -> None:
        self.connection: ValkeyConnection
        self._reply: asyncio.Future[Any] | None = None
        self._failure: BaseException | None = None

    async def run(self, address: ServerAddress) -> None:
        """Authenticate and select the database, if the address has credentials or a database."""
        if address.password:
            await self.execute("AUTH", *filter(None, [address.username]), address.password)
        if address.database:
            await self.execute("SELECT", address.database)

    async def execute(self, *command: Any) -> Any:
        """Return the reply to one command. Raises `ServerError` for an error reply, or the error that ended the connection."""
        if self._failure is not None:
            raise self._failure
        self._reply = asyncio.get_running_loop().create_future()
        self.connection.write(hiredis.pack_command(command), 1)
        reply = await self._reply
        if isinstance(reply, ServerError):
            raise reply
        return reply

    def on_reply(self, reply: Any) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)

    def on_lost(self, error: BaseException) -> None:
        self._failure = error
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)


def info_fields(info: bytes) -> dict[str, str]:
    """Return the fields of a reply to INFO, by name."""
    return dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)


Setup = Callable[[Handshake], Awaitable[None]]
"""More commands that must succeed before a connection is of use."""
