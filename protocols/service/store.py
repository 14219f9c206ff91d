"""A Valkey (or Redis 7) server behind the `Store` port.

One connection. The commands of one turn of the event loop leave together, so they reach the server's log as one group; but at
most `MOST_IN_BATCH` at a time: a server that has to wait for the end of a long turn works while no other process does.
There is no hidden retry: this module repeats only commands whose caller has declared that they may run twice.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import structlog

from protocols.backoff import Backoff
from protocols.core import Command
from protocols.ports import Clock, StoreFault, StoreFull
from protocols.service.bounded_log import LONGEST_TEXT, BoundedLog
from protocols.service.codec import decode_result, encode_arguments
from protocols.service.lua_library import NAME
from protocols.service.store_format import OtherFormat, check_format
from protocols.service.store_queue import Entry, StoreQueue
from protocols.service.tasks import Background
from protocols.service.valkey_connection import (
    LOST,
    Handshake,
    OnLost,
    ServerAddress,
    ServerError,
    ValkeyConnection,
    info_fields,
)

RECONNECT_MS, LONGEST_RECONNECT_MS = 20.0, 80.0
MOST_IN_BATCH = 16
# The server runs but cannot serve: its log is loading, its disk is full, a script hangs, a replica is missing, its access list
# has changed, or it has lost our library. It answers so before it executes anything, so every command may be sent again after
# a new connect.
PASSING = (
    *("LOADING", "MISCONF", "READONLY", "BUSY", "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "TRYAGAIN"),
    *("NOAUTH", "NOPERM", "ERR FUNCTION NOT FOUND"),
)
FULL = "OOM"
"""The server has reached its memory limit (`maxmemory`), and answers so before it executes anything."""

log = structlog.get_logger()
bounded_log = BoundedLog(log)


@dataclass(slots=True)
class StoreCounts:
    """Counts since the start of the process."""

    commands: int = 0
    batches: int = 0
    connects: int = 0


class ValkeyStore(StoreQueue):
    """The store at `address`. `library` is the text of the Functions library, loaded at each connect.

    `limit_ms` bounds `call` and `once`. With `generations`, each run of the server on the data begins one. Every key begins
    with `key_prefix`, in the library as well.
    """

    def __init__(
        self,
        address: ServerAddress,
        library: str,
        clock: Clock,
        limit_ms: int,
        *,
        generations: bool = False,
        key_prefix: str = "",
    ) -> None:
        super().__init__(clock, limit_ms)
        self._address = address
        self._library = library
        self._generations = generations
        self._key_prefix = key_prefix
        self._connection: ValkeyConnection | None = None
        self._send_scheduled = False
        self._trouble = ""
        self._tasks = Background(log.error)
        self._attempted = asyncio.Event()
        self._refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.counts = StoreCounts()

    @property
    def up(self) -> bool:
        return self._connection is not None

    def start(self) -> None:
        """Connect in the background, again after each loss."""
        self._tasks.keep(self._run, "store connection")

    async def stop(self) -> None:
        await self._tasks.stop()

    async def attempted(self, within_s: float) -> None:
        """Return once the first attempt to connect has ended, well or not, or after `within_s`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._attempted.wait(), within_s)

    async def refused(self) -> str:
        """Wait until the data in the store prove unusable, and return the reason."""
        return await asyncio.shield(self._refused)

    # ------------------------------------------------------------ the connection

    async def _run(self) -> None:
        backoff = Backoff(RECONNECT_MS, LONGEST_RECONNECT_MS)
        while True:
            lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            connection = None

            def on_lost(error: BaseException, lost: asyncio.Future[None] = lost) -> None:
                # At once, not when this coroutine continues: a command that is submitted in between must wait for the next
                # connection. Handed to the dead one it would count as sent, and `once` would call it unknown.
                self._connection = None
                if not lost.done():
                    lost.set_exception(error)

            try:
                self._connection = connection = await self._open(on_lost)
                self.counts.connects += 1
                self._trouble = ""
                self._attempted.set()
                log.info("store connected")
                backoff.reset()
                self._wake()
                await lost
            except LOST as error:
                self._note(str(error) or type(error).__name__, connected=connection is not None)
                if isinstance(error, OtherFormat) and not self._refused.done():
                    self._refused.set_result(str(error))
            finally:
                self._attempted.set()
                self._connection = None
                self._requeue()
                if connection is not None:
                    connection.close()
            await asyncio.sleep(backoff.next_s())

    def _note(self, trouble: str, *, connected: bool) -> None:
        """Log the loss of a connection, and why there is no new one: once for each reason, however often it is tried."""
        if connected:
            log.warning("store lost", error=trouble, in_flight=len(self._sent))
        elif trouble != self._trouble:
            log.warning("store cannot be reached", error=trouble)
            self._trouble = trouble

    async def _open(self, on_lost: OnLost) -> ValkeyConnection:
        return await ValkeyConnection.open(self._address, self._on_reply, on_lost, self._set_up)

    async def _set_up(self, handshake: Handshake) -> None:
        # Before the library is loaded: it would replace that of an older process which is at work on the data.
        await check_format(handshake, f"{self._address.host}:{self._address.port}", self._key_prefix)
        await self._load_library(handshake)
        if self._generations:
            await self._begin_generation(handshake)

    async def _begin_generation(self, handshake: Handshake) -> None:
        run = info_fields(await handshake.execute("INFO", "server"))["run_id"]
        arguments = encode_arguments(self._clock.now_us() // 1000, (run,))
        (number,) = decode_result(await handshake.execute("FCALL", "wdm_begin_generation", 0, arguments))
        if number > self.generation > 0:
            log.warning("the store has run anew and may have lost its last writes", generation=number)
        self.generation = number

    async def _load_library(self, handshake: Handshake) -> None:
        """Load the library; a full server refuses that, and is of use all the same if it has this very library."""
        try:
            await handshake.execute("FUNCTION", "LOAD", "REPLACE", self._library)
        except ServerError as error:
            if not str(error).startswith(FULL):
                raise
            listed = await handshake.execute("FUNCTION", "LIST", "LIBRARYNAME", NAME, "WITHCODE")
            if not any(self._library.encode() in library for library in listed):
                raise

    def _wake(self) -> None:
        if self._connection is None or not self._waiting:
            return
        if len(self._waiting) >= MOST_IN_BATCH:
            self._send()
        elif not self._send_scheduled:
            self._send_scheduled = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        self._send_scheduled = False
        if self._connection is None:
            return  # lost since `_wake`: the entries wait for the next connection
        batch = [entry for entry in self._waiting if not entry.cancelled]
        self._waiting.clear()
        if not batch:
            return
        for entry in batch:
            entry.sent = True
        # Before the write: it may end the connection, and `_requeue` then finds the entries where it looks for them.
        self._sent.extend(batch)
        self.counts.commands += len(batch)
        self.counts.batches += 1
        self._write(self._connection, b"".join(map(_packed, batch)), len(batch))

    def _write(self, connection: ValkeyConnection, packed: bytes, count: int) -> None:
        connection.write(packed, count)

    def _on_reply(self, reply: Any) -> None:
        """Settle the oldest command that was sent: a server answers in order."""
        if type(reply) is bytes:
            self._sent.popleft().then(decode_result(reply))
        else:
            self._on_error(str(reply))

    def _on_error(self, error: str) -> None:
        if error.upper().startswith(FULL):
            # Only this command: one that frees memory, or needs none, is still executed.
            self._sent.popleft().lost(StoreFull("the store's memory is full"))
            return
        if error.upper().startswith(PASSING):
            # Nothing was executed, so even a command that must not run twice may be sent again. It stays in front of the
            # commands behind it, for the order in which commands were submitted is a promise of the port.
            self._sent[0].sent = False
            raise ServerError(error)
        entry = self._sent.popleft()
        bounded_log.error("store refused a command", command=entry.command.name, error=error[:LONGEST_TEXT])
        entry.lost(StoreFault(error))


@cache
def _head(name: str) -> bytes:
    """Return the words of a call in RESP, the server's protocol, up to its argument."""
    function = b"wdm_" + name.encode()
    return b"*4\r\n$5\r\nFCALL\r\n$%d\r\n%b\r\n$1\r\n0\r\n" % (len(function), function)


def _packed(entry: Entry) -> bytes:
    return packed_call(entry.command, entry.now_ms)


def packed_call(command: Command, now_ms: int) -> bytes:
    """Return the call of a command in RESP."""
    arguments = encode_arguments(now_ms, command.args)
    return b"%b$%d\r\n%b\r\n" % (_head(command.name), len(arguments), arguments)
