"""A Valkey (or Redis 7) server behind the ``Store`` port.

One connection. What is asked for within one turn of the event loop leaves together, so it meets the server's log as one group;
but never more than a ``BUNDLE``: a server that has to wait for the end of a long turn works while nobody else does.
There is no hidden retry: this module repeats only commands that say they may run twice.
"""

import asyncio
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog
from redis.asyncio import Connection
from redis.exceptions import OutOfMemoryError, RedisError

from protocols.ports import Clock, StoreFault, StoreFull
from protocols.service.bounded_log import LONGEST_TEXT, BoundedLog
from protocols.service.codec import decode_result, encode_arguments
from protocols.service.lua_library import NAME
from protocols.service.store_queue import Entry, StoreQueue
from protocols.service.tasks import Background
from protocols.service.valkey_connection import LOST, Connect, ValkeyConnection

RECONNECT_S = 0.02
BUNDLE = 16
# The server is there but cannot serve: it is loading its log, its disk is full, a script hangs, a replica is missing, who
# may do what has changed, or it has lost our library. It says so before it executes anything, so trying again after a new
# connect is safe for every command.
PASSING = (
    *("LOADING", "MISCONF", "READONLY", "BUSY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN"),
    *("NOAUTH", "NOPERM", "ERR FUNCTION NOT FOUND"),
)
FULL = "OOM"
"""The server has as much as it may (``maxmemory``), and says so before it executes anything."""

log = structlog.get_logger()
refusals = BoundedLog(log)


@dataclass(slots=True)
class Counts:
    """What this store was asked, since the start of the process."""

    commands: int = 0
    batches: int = 0
    connects: int = 0


class ValkeyStore(StoreQueue):
    """``library`` is the text of the Functions library, loaded at each connect. ``limit_ms`` bounds ``call`` and ``once``."""

    def __init__(self, connect: Connect, library: str, clock: Clock, limit_ms: int) -> None:
        super().__init__(clock, limit_ms)
        self._connect = connect
        self._library = library
        self._wire: ValkeyConnection | None = None
        self._waking = False
        self._tasks = Background(log.error)
        self.counts = Counts()

    @property
    def up(self) -> bool:
        return self._wire is not None

    def start(self) -> None:
        self._tasks.keep(self._run, "store connection")

    async def stop(self) -> None:
        await self._tasks.stop()

    # ------------------------------------------------------------ the connection

    async def _run(self) -> None:
        while True:
            over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            wire = None

            def lost(error: BaseException, over: asyncio.Future[None] = over) -> None:
                self._wire = None  # at once: what is asked for from now on waits for the next one
                if not over.done():
                    over.set_exception(error)

            try:
                self._wire = wire = await ValkeyConnection.open(self._connect, self._hear, lost, self._load)
                self.counts.connects += 1
                log.info("store connected")
                self._wake()
                await over
            except LOST as error:
                if wire is not None:
                    log.warning("store lost", error=str(error) or type(error).__name__, in_flight=len(self._sent))
            finally:
                self._wire = None
                self._take_back()
                if wire is not None:
                    await wire.close()
            await asyncio.sleep(RECONNECT_S)

    async def _load(self, connection: Connection) -> None:
        """Our library, which a full store does not take; it is of use all the same if it has this very one."""
        try:
            await _ask(connection, "FUNCTION", "LOAD", "REPLACE", self._library)
        except OutOfMemoryError:
            listed = await _ask(connection, "FUNCTION", "LIST", "LIBRARYNAME", NAME, "WITHCODE")
            if not any(self._library.encode() in library for library in listed):
                raise

    def _wake(self) -> None:
        if self._wire is None or not self._waiting:
            return
        if len(self._waiting) >= BUNDLE:
            self._send()
        elif not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._waking = False
        if self._wire is None:
            return
        batch = [entry for entry in self._waiting if not entry.cancelled]
        self._waiting.clear()
        if not batch:
            return
        for entry in batch:
            entry.sent = True
        self._sent.extend(batch)
        self.counts.commands += len(batch)
        self.counts.batches += 1
        self._wire.write(b"".join(map(_packed, batch)), len(batch))

    def _hear(self, answer: Any) -> None:
        if type(answer) is bytes:
            self._sent.popleft().then(decode_result(answer))
        else:
            self._refused(str(answer))

    def _refused(self, error: str) -> None:
        if error.upper().startswith(FULL):
            self._sent.popleft().lost(StoreFull("the store's memory is full"))
            return
        if error.upper().startswith(PASSING):
            self._sent[0].sent = False  # it stays in front of those that were sent after it
            raise RedisError(error)
        entry = self._sent.popleft()
        refusals.error("store refused a command", command=entry.command.name, error=error[:LONGEST_TEXT])
        entry.lost(StoreFault(error))


async def _ask(connection: Connection, *command: str) -> Any:
    await connection.send_command(*command)
    return await connection.read_response()


@cache
def _head(name: str) -> bytes:
    """The words of a call (RESP, the server's protocol) up to its argument."""
    function = b"wdm_" + name.encode()
    return b"*4\r\n$5\r\nFCALL\r\n$%d\r\n%b\r\n$1\r\n0\r\n" % (len(function), function)


def _packed(entry: Entry) -> bytes:
    arguments = encode_arguments(entry.now_ms, entry.command.args)
    return b"%b$%d\r\n%b\r\n" % (_head(entry.command.name), len(arguments), arguments)
