"""Messages over Valkey streams: one stream a service, shared by its instances as a consumer group, and one an instance.

An entry is delivered to one consumer of the group and remains pending for it until it is acknowledged. A process that comes
back reads its own pending entries at once; entries that another consumer has kept for too long are claimed from it. An
acknowledged entry is deleted, so a stream holds the messages under way and nothing else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

from protocols.service.codec import Codec
from protocols.service.links import MOST_DEAD_LETTERS
from protocols.service.links.broker import Batch, BrokerLink, BrokerLost
from protocols.service.pipelined_client import PipelinedClient
from protocols.service.settings import Settings
from protocols.service.valkey_connection import LOST, Command, ServerAddress

GROUP = "wdm"
DEAD = "wdm:dead"
MOST_READ = 16  # entries at a time, of each stream
BLOCK_MS = 1_000
CLAIM_EVERY_S = 1.0
CLAIM_AFTER_MS = 5_000  # longer than the restart of a store takes
DELETE_WITHIN_S = 0.02


def link(settings: Settings, codec: Codec) -> BrokerLink:
    address = ServerAddress.parse(settings.broker_url)
    streams = (stream_of(settings.service), stream_of(settings.node))
    return BrokerLink(settings.node, codec, lambda: connected(address, settings.node, streams))


def stream_of(to: str) -> str:
    return f"wdm:{to}"


async def dead_letters(url: str) -> Sequence[bytes]:
    """See `Transport.dead_letters`."""
    async with connected(ServerAddress.parse(url), "", ()) as channel:
        return await channel.dead_letters()


async def publish(url: str, service: str, *bodies: bytes) -> None:
    """See `Transport.publish`."""
    async with connected(ServerAddress.parse(url), "", ()) as channel:
        for body in bodies:
            await channel.add(service, body)


@contextlib.asynccontextmanager
async def connected(address: ServerAddress, node: str, streams: Sequence[str]) -> AsyncIterator["StreamsChannel"]:
    async with contextlib.AsyncExitStack() as stack:
        sender, reader = await _open(address, stack), await _open(address, stack)
        channel = StreamsChannel(sender, reader, node, streams)
        await channel.open()
        yield channel


class StreamsChannel:
    """Two connections: a blocking read occupies `reader`, so all other commands go over `sender`.

    `node` is the consumer's name. `streams` are the service's and the instance's own.
    """

    def __init__(self, sender: PipelinedClient, reader: PipelinedClient, node: str, streams: Sequence[str]) -> None:
        self._sender = sender
        self._reader = reader
        self._node = node
        self._streams = streams
        self._unsent: list[tuple[Command, Callable[[], None]]] = []
        self._finished: dict[Any, list[Any]] = {}  # entries by stream

    async def open(self) -> None:
        """Create the streams and their groups, where they are missing."""
        for stream in self._streams:
            try:
                await self._ask("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
            except BrokerLost as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    def publish(self, to: str, body: bytes, confirmed: Callable[[], None]) -> None:
        self._send_soon(("XADD", stream_of(to), "*", "b", body), confirmed)

    def put_aside(self, body: bytes, why: str, confirmed: Callable[[], None]) -> None:
        self._send_soon(("XADD", DEAD, "MAXLEN", MOST_DEAD_LETTERS, "*", "b", body, "why", why), confirmed)

    async def add(self, to: str, body: bytes) -> None:
        """Publish one body and wait for the confirmation, for a caller that does not run `work`."""
        await self._ask("XADD", stream_of(to), "*", "b", body)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the pending entries of former lives of this instance first, then new entries and claimed ones."""
        async for batch in self._own():
            yield batch
        claim_at_s = 0.0
        while True:
            for stream, entries in await self._read(">", BLOCK_MS):
                for batch in self._batches_of(stream, entries):
                    yield batch
            now_s = asyncio.get_running_loop().time()
            if now_s >= claim_at_s:
                claim_at_s = now_s + CLAIM_EVERY_S
                for batch in await self._claimed():
                    yield batch

    async def work(self) -> None:
        with _lost_as_broker_lost():
            await self._sender.until_lost()

    async def dead_letters(self) -> Sequence[bytes]:
        return [fields[1] for _, fields in await self._ask("XRANGE", DEAD, "-", "+", "COUNT", MOST_DEAD_LETTERS)]

    # ------------------------------------------------------------ inside

    async def _own(self) -> AsyncIterator[Batch]:
        for stream in self._streams:
            last: Any = "0"
            while entries := await self._pending(stream, last):
                last = entries[-1][0]
                for batch in self._batches_of(stream, entries):
                    yield batch

    async def _pending(self, stream: str, after: Any) -> list[Any]:
        reply = await self._ask("XREADGROUP", "GROUP", GROUP, self._node, "COUNT", MOST_READ, "STREAMS", stream, after)
        return list(reply[0][1]) if reply else []

    async def _read(self, after: str, block_ms: int) -> list[Any]:
        ids = [after] * len(self._streams)
        command = ["XREADGROUP", "GROUP", GROUP, self._node, "COUNT", MOST_READ, "BLOCK", block_ms, "STREAMS"]
        return await _ask(self._reader, *command, *self._streams, *ids) or []

    async def _claimed(self) -> list[Batch]:
        """Claim entries that another instance has not acknowledged for long: the instance is gone, or its store is."""
        stream = self._streams[0]
        reply = await self._ask("XAUTOCLAIM", stream, GROUP, self._node, CLAIM_AFTER_MS, "0", "COUNT", MOST_READ)
        return list(self._batches_of(stream, reply[1]))

    def _batches_of(self, stream: Any, entries: Sequence[tuple[Any, Sequence[bytes]]]) -> Sequence[Batch]:
        # An entry that was deleted while it was pending has no fields.
        return [self._batch(stream, entry, fields[1]) for entry, fields in entries if fields]

    def _batch(self, stream: Any, entry: Any, body: bytes) -> Batch:
        def reject(why: str) -> None:
            self.put_aside(body, why, lambda: None)
            self._finish(stream, entry)

        return Batch(body, lambda: self._finish(stream, entry), reject)

    def _send_soon(self, command: Command, then: Callable[[], None]) -> None:
        """Send the commands of one turn of the event loop together, and the pending acknowledgements with them."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent.append((command, then))

    def _finish(self, stream: Any, entry: Any) -> None:
        """Acknowledge and delete an entry, within a moment: mostly a message leaves soon, and they share its write."""
        if not self._finished:
            asyncio.get_running_loop().call_later(DELETE_WITHIN_S, self._send)
        self._finished.setdefault(stream, []).append(entry)

    def _send(self) -> None:
        unsent, self._unsent = self._unsent, []
        finished, self._finished = self._finished, {}
        commands = [command for command, _ in unsent]
        for stream, entries in finished.items():
            commands += [("XACK", stream, GROUP, *entries), ("XDEL", stream, *entries)]
        if commands:
            self._sender.execute(commands).add_done_callback(partial(self._confirm, [then for _, then in unsent]))

    def _confirm(self, callbacks: Sequence[Callable[[], None]], replies: asyncio.Future[list[Any]]) -> None:
        error = replies.exception()
        if error is not None:
            # A broker without memory or disk rejects, and its reply does not list the messages that it took. So the connection
            # ends, and every unconfirmed batch leaves again on the next one.
            self._sender.fail(error)
            return
        for confirmed in callbacks:
            confirmed()

    async def _ask(self, *command: Any) -> Any:
        return await _ask(self._sender, *command)


async def _open(address: ServerAddress, stack: contextlib.AsyncExitStack) -> PipelinedClient:
    with _lost_as_broker_lost():
        client = await PipelinedClient.open(address)
    stack.callback(client.close)
    return client


async def _ask(client: PipelinedClient, *command: Any) -> Any:
    with _lost_as_broker_lost():
        (reply,) = await client.execute((command,))
    return reply


@contextlib.contextmanager
def _lost_as_broker_lost() -> Iterator[None]:
    try:
        yield
    except LOST as error:
        raise BrokerLost(str(error) or type(error).__name__) from error
