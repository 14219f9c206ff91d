"""A connection to a Valkey server: commands leave as they are told, answers are handed out one by one, in their order.

redis-py opens it (names, passwords, encryption); from then on every byte is ours, for its own way of sending and reading costs
more for each command than the command (``docs/performance.md``). It is closed for good after the first failure, and there
is no hidden retry: what is repeated, and when, is the business of whoever asked.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import hiredis
from redis.asyncio import Connection, ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse, RedisError

ANSWER_WITHIN_S = 3.0
LOST = (RedisError, OSError, TimeoutError)
"""What a connection may end with."""

Command = tuple[Any, ...]
Connect = Callable[[], Connection]
Hear = Callable[[Any], None]
Lost = Callable[[BaseException], None]
First = Callable[[Connection], Awaitable[None]]


def connector(url: str) -> Connect:
    """A function that makes a new connection each time: no retry, no health check, no pool's surprises."""
    pool = ConnectionPool.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        socket_connect_timeout=1,
        socket_timeout=None,  # 5 s by default: it would end a connection that has nothing to say
        protocol=2,
    )
    return lambda: cast("Connection", pool.connection_class(**pool.connection_kwargs))


class ValkeyConnection(asyncio.Protocol):
    """Made by ``open``. ``hear`` is called with each answer, a refusal being a ``hiredis.ReplyError``; what it raises of ``LOST``
    ends the connection. ``lost`` is called once, with what it ended with, unless it was closed.
    """

    def __init__(self, connection: Connection, hear: Hear, lost: Lost) -> None:
        self._connection = connection
        self._hear = hear
        self._lost = lost
        # redis-py has no public way to what it opened.
        self._transport = cast("asyncio.Transport", connection._writer.transport)  # type: ignore[union-attr]  # noqa: SLF001
        self._loop = asyncio.get_running_loop()
        self._answers = hiredis.Reader(protocolError=InvalidResponse)
        self._owed = 0
        self._heard_s = 0.0  # when the server last said something, or was asked while it owed nothing
        self._closed = False
        self._watch()

    @classmethod
    async def open(cls, connect: Connect, hear: Hear, lost: Lost, first: First | None = None) -> "ValkeyConnection":
        """``first`` has to succeed on the connection before anything else. Raises one of ``LOST``."""
        connection = connect()
        try:
            # All of it: a network cut right after the handshake leaves a server that will never answer to AUTH.
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await connection.connect()  # type: ignore[no-untyped-call]
                if first is not None:
                    await first(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        wire = cls(connection, hear, lost)
        wire._transport.set_protocol(wire)
        return wire

    def write(self, packed: bytes, answers: int) -> None:
        """Send commands, to which there will be so many answers."""
        if not self._owed:
            self._heard_s = self._loop.time()
        self._owed += answers
        try:
            self._transport.write(packed)
        except RuntimeError as error:  # uvloop's word for a connection that was reset a moment ago
            self._loop.call_soon(self.give_up, ConnectionResetError(str(error)))

    def give_up(self, error: BaseException) -> None:
        """End it with this. Whoever finds it of no use says so."""
        if not self._closed:
            self._closed = True
            self._transport.abort()
            self._lost(error)

    async def close(self) -> None:
        self._closed = True
        self._transport.abort()
        with contextlib.suppress(*LOST):
            await self._connection.disconnect(nowait=True)

    # ------------------------------------------------------------ what the loop tells

    def data_received(self, data: bytes) -> None:
        self._heard_s = self._loop.time()
        answers, hear = self._answers, self._hear
        try:
            answers.feed(data)
            while (answer := answers.gets()) is not False:
                self._owed -= 1
                hear(answer)
        except LOST as error:
            self.give_up(error)

    def connection_lost(self, error: Exception | None) -> None:
        self.give_up(ConnectionResetError(str(error or "the server closed the connection")))

    def _watch(self) -> None:
        """A server that keeps the connection but does not answer is as good as gone."""
        if self._closed:
            return
        silent_s = self._loop.time() - self._heard_s if self._owed else 0.0
        if silent_s >= ANSWER_WITHIN_S:
            self.give_up(TimeoutError(f"no answer for {ANSWER_WITHIN_S:g} s"))
        else:
            self._loop.call_later(ANSWER_WITHIN_S - silent_s, self._watch)


class PipelinedClient:
    """Questions over a wire of its own, and who waits for the answers. All that they are told in vain is one of ``LOST``."""

    def __init__(self) -> None:
        self._owed: deque[_Owed] = deque()
        self._wire: ValkeyConnection
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()

    @classmethod
    async def open(cls, connect: Connect) -> "PipelinedClient":
        line = cls()
        line._wire = await ValkeyConnection.open(connect, line._hear, line._lose)
        return line

    def tell(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """The answers to all, which leave in one write. A refusal is a ``RedisError`` with the server's words."""
        owed = _Owed(len(commands))
        if self._failure is not None:
            owed.fail(self._failure)
        else:
            self._owed.append(owed)
            self._wire.write(b"".join([hiredis.pack_command(command) for command in commands]), len(commands))
        return owed.answered

    async def until_lost(self) -> None:
        """Raises what it ended with."""
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    def give_up(self, error: BaseException) -> None:
        """It is of no more use."""
        self._wire.give_up(error)

    async def close(self) -> None:
        self._lose(ConnectionResetError("the connection is closed"))
        await self._wire.close()

    def _hear(self, answer: Any) -> None:
        owed = self._owed[0]
        owed.answers.append(answer)
        if len(owed.answers) == owed.count:
            self._owed.popleft().settle()

    def _lose(self, error: BaseException) -> None:
        self._failure = error
        self._failed.set()
        for owed in self._owed:
            owed.fail(error)


class _Owed:
    """Answers to what was asked together."""

    __slots__ = ("answered", "answers", "count")

    def __init__(self, count: int) -> None:
        self.answers: list[Any] = []
        self.count = count
        self.answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def settle(self) -> None:
        refused = next((answer for answer in self.answers if isinstance(answer, Exception)), None)
        if refused is not None:
            self.fail(RedisError(str(refused)))
        elif not self.answered.done():
            self.answered.set_result(self.answers)

    def fail(self, error: BaseException) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
            self.answered.exception()  # nobody need be interested
