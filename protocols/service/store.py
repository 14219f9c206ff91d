"""A Valkey (or Redis 7) server behind the ``Store`` port.

One connection. What is asked for within one turn of the event loop leaves in one write, so it meets the server's log as
one group; answers are taken from each read as they are. redis-py opens the connection; from then on every word of it is ours,
for its own way of sending and reading costs more for each command than the command. There is no hidden retry: redis-py's own
is switched off, and this module repeats only commands that say they may run twice.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import hiredis
import structlog
from redis.asyncio import Connection
from redis.exceptions import RedisError

from protocols.ports import Clock
from protocols.service.codec import decode_result, encode_arguments
from protocols.service.store_queue import Entry, StoreQueue

RECONNECT_S = 0.02
ANSWER_WITHIN_S = 3.0
BATCH = 512
# The server is there but cannot serve: it is loading its log, its disk or memory is full, a script hangs, or it has lost
# our library. It says so before it executes anything, so trying again after a new connect is safe for every command.
PASSING = ("LOADING", "MISCONF", "OOM", "READONLY", "BUSY", "MASTERDOWN", "ERR FUNCTION NOT FOUND")
READ_BYTES = 256 * 1024

log = structlog.get_logger()


class StoreFault(Exception):
    """The server refused a command as malformed: a defect of ours, never a matter of trying again."""


@dataclass(slots=True)
class Counts:
    """What this store was asked, since the start of the process."""

    commands: int = 0
    batches: int = 0
    connects: int = 0


class ValkeyStore(StoreQueue):
    """``library`` is the text of the Functions library, loaded at each connect. ``limit_ms`` bounds ``call`` and ``once``."""

    def __init__(self, connect: Callable[[], Connection], library: str, clock: Clock, limit_ms: int) -> None:
        super().__init__(clock, limit_ms)
        self._connect = connect
        self._library = library
        self._asked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.counts = Counts()
        self._heard_s = 0.0  # when the server last answered, or was asked while it owed nothing
        self.up = False

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _wake(self) -> None:
        self._asked.set()

    # ------------------------------------------------------------ the connection

    async def _run(self) -> None:
        while True:
            connection = self._connect()
            try:
                await self._open(connection)
                await self._serve(connection)
            except (RedisError, OSError, TimeoutError) as error:
                if self.up:
                    log.warning("store lost", error=str(error) or type(error).__name__, in_flight=len(self._sent))
            finally:
                self.up = False
                self._take_back()
                with contextlib.suppress(RedisError, OSError):
                    await connection.disconnect(nowait=True)
            await asyncio.sleep(RECONNECT_S)

    async def _open(self, connection: Connection) -> None:
        # All of it: a network cut right after the handshake leaves a server that will never answer to AUTH.
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("FUNCTION", "LOAD", "REPLACE", self._library)
            await connection.read_response()
        self.counts.connects += 1
        self.up = True
        log.info("store connected")

    async def _serve(self, connection: Connection) -> None:
        """Write, read and watch, until one of them fails."""
        jobs = [asyncio.create_task(job(connection)) for job in (self._write, self._read, self._watch)]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in jobs:
                task.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _write(self, connection: Connection) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            batch = [entry for entry in self._take() if not entry.cancelled]
            if not batch:
                continue
            for entry in batch:
                entry.sent = True
            if not self._sent:
                self._heard_s = asyncio.get_running_loop().time()
            self._sent.extend(batch)
            self.counts.commands += len(batch)
            self.counts.batches += 1
            try:
                await connection.send_packed_command(b"".join(map(_packed, batch)), check_health=False)
            except RuntimeError as error:  # uvloop's word for a connection that was reset a moment ago
                raise ConnectionResetError(str(error)) from error

    def _take(self) -> list[Entry]:
        batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        if self._waiting:
            self._wake()
        return batch

    async def _read(self, connection: Connection) -> None:
        stream = connection._reader  # noqa: SLF001 - it has no public way to what is not parsed yet
        answers, clock = hiredis.Reader(), asyncio.get_running_loop().time
        assert stream is not None
        while data := await stream.read(READ_BYTES):
            self._heard_s = clock()
            answers.feed(data)
            while (answer := answers.gets()) is not False:
                if type(answer) is bytes:
                    self._sent.popleft().then(decode_result(answer))
                else:
                    self._refused(str(answer))
        raise ConnectionResetError("the server closed the connection")

    def _refused(self, error: str) -> None:
        entry = self._sent.popleft()
        if error.upper().startswith(PASSING):
            entry.sent = False
            self._waiting.appendleft(entry)
            raise RedisError(error)
        log.error("store refused a command", command=entry.command.name, error=error)
        entry.lost(StoreFault(error))

    async def _watch(self, _: Connection) -> None:
        """A server that keeps the connection but does not answer is as good as gone."""
        while True:
            silent_s = asyncio.get_running_loop().time() - self._heard_s if self._sent else 0.0
            if silent_s >= ANSWER_WITHIN_S:
                raise TimeoutError(f"no answer for {ANSWER_WITHIN_S:g} s")
            await asyncio.sleep(ANSWER_WITHIN_S - silent_s)


@cache
def _head(name: str) -> bytes:
    """The words of a call (RESP, the server's protocol) up to its argument."""
    function = b"wdm_" + name.encode()
    return b"*4\r\n$5\r\nFCALL\r\n$%d\r\n%b\r\n$1\r\n0\r\n" % (len(function), function)


def _packed(entry: Entry) -> bytes:
    arguments = encode_arguments(entry.now_ms, entry.command.args)
    return b"%b$%d\r\n%b\r\n" % (_head(entry.command.name), len(arguments), arguments)
