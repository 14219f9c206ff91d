"""Messages over Valkey streams: one stream a service, which its instances share as a consumer group, and one an instance.

An entry is delivered to one consumer of the group and stays its own until it is acknowledged. A process that comes back takes
its own entries up at once; what another one has kept for too long is claimed from it. What is acknowledged is
deleted, so a stream holds what is under way and nothing else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Any

from protocols.service.codec import Codec
from protocols.service.links import MOST_DEAD_LETTERS
from protocols.service.links.broker import Batch, BrokerLink, BrokerLost
from protocols.service.settings import Settings
from protocols.service.valkey_connection import LOST, Command, Connect, PipelinedClient, connector

GROUP = "wdm"
DEAD = "wdm:dead"
READ = 16  # entries at a time, of each stream
BLOCK_MS = 1_000
CLAIM_EVERY_S = 1.0
CLAIM_AFTER_MS = 5_000  # longer than a store that is being restarted takes
FORGET_WITHIN_S = 0.02


def link(settings: Settings, codec: Codec) -> BrokerLink:
    streams = (name_of(settings.service), name_of(settings.node))
    return BrokerLink(settings.node, codec, lambda: connected(settings.broker_url, settings.node, streams))


def name_of(to: str) -> str:
    return f"wdm:{to}"


async def dead_letters(url: str) -> Sequence[bytes]:
    """See ``Transport.dead_letters``."""
    async with connected(url, "", ()) as channel:
        return await channel.dead()


async def publish(url: str, service: str, *bodies: bytes) -> None:
    """See ``Transport.publish``."""
    async with connected(url, "", ()) as channel:
        for body in bodies:
            await channel.add(service, body)


@contextlib.asynccontextmanager
async def connected(url: str, node: str, streams: Sequence[str]) -> AsyncIterator["StreamsChannel"]:
    connect = connector(url)
    async with contextlib.AsyncExitStack() as stack:
        tells, waits = await _open(connect, stack), await _open(connect, stack)
        channel = StreamsChannel(tells, waits, node, streams)
        await channel.open()
        yield channel


class StreamsChannel:
    """``node`` is the consumer's name. ``streams``: the service's and the instance's own. ``waits`` is the connection on which
    it is waited for entries, ``tells`` the other one.
    """

    def __init__(self, tells: PipelinedClient, waits: PipelinedClient, node: str, streams: Sequence[str]) -> None:
        self._tells = tells
        self._waits = waits
        self._node = node
        self._streams = streams
        self._said: list[tuple[Command, Callable[[], None]]] = []
        self._finished: dict[Any, list[Any]] = {}  # entries by stream

    async def open(self) -> None:
        for stream in self._streams:
            try:
                await self._ask("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
            except BrokerLost as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    def publish(self, to: str, body: bytes, confirmed: Callable[[], None]) -> None:
        self._say(("XADD", name_of(to), "*", "b", body), confirmed)

    def put_aside(self, body: bytes, why: str, confirmed: Callable[[], None]) -> None:
        self._say(("XADD", DEAD, "MAXLEN", MOST_DEAD_LETTERS, "*", "b", body, "why", why), confirmed)

    async def add(self, to: str, body: bytes) -> None:
        """The same by itself, for whoever does not let it ``work``."""
        await self._ask("XADD", name_of(to), "*", "b", body)

    async def parcels(self) -> AsyncIterator[Batch]:
        """First one's own of a former life, then what is new and what others have kept for too long."""
        async for parcel in self._own():
            yield parcel
        claim_at = 0.0
        while True:
            for stream, entries in await self._read(">", BLOCK_MS):
                for parcel in self._opened(stream, entries):
                    yield parcel
            now = asyncio.get_running_loop().time()
            if now >= claim_at:
                claim_at = now + CLAIM_EVERY_S
                for parcel in await self._claimed():
                    yield parcel

    async def work(self) -> None:
        with _said_as_lost():
            await self._tells.until_lost()

    async def dead(self) -> Sequence[bytes]:
        return [fields[1] for _, fields in await self._ask("XRANGE", DEAD, "-", "+", "COUNT", MOST_DEAD_LETTERS)]

    # ------------------------------------------------------------ inside

    async def _own(self) -> AsyncIterator[Batch]:
        for stream in self._streams:
            last: Any = "0"
            while entries := await self._pending(stream, last):
                last = entries[-1][0]
                for parcel in self._opened(stream, entries):
                    yield parcel

    async def _pending(self, stream: str, after: Any) -> list[Any]:
        found = await self._ask("XREADGROUP", "GROUP", GROUP, self._node, "COUNT", READ, "STREAMS", stream, after)
        return list(found[0][1]) if found else []

    async def _read(self, after: str, block_ms: int) -> list[Any]:
        ids = [after] * len(self._streams)
        command = ["XREADGROUP", "GROUP", GROUP, self._node, "COUNT", READ, "BLOCK", block_ms, "STREAMS"]
        return await _asked(self._waits, *command, *self._streams, *ids) or []

    async def _claimed(self) -> list[Batch]:
        """What an instance of the service took and has not acknowledged for long: it is gone, or its store is."""
        stream = self._streams[0]
        answer = await self._ask("XAUTOCLAIM", stream, GROUP, self._node, CLAIM_AFTER_MS, "0", "COUNT", READ)
        return list(self._opened(stream, answer[1]))

    def _opened(self, stream: Any, entries: Sequence[tuple[Any, Sequence[bytes]]]) -> Sequence[Batch]:
        bodies = ((entry, fields[1]) for entry, fields in entries if fields)  # some are deleted while they are pending
        return [self._parcel(stream, entry, body) for entry, body in bodies]

    def _parcel(self, stream: Any, entry: Any, body: bytes) -> Batch:
        def bury(why: str) -> None:
            self.put_aside(body, why, lambda: None)
            self._finish(stream, entry)

        return Batch(body, lambda: self._finish(stream, entry), bury)

    def _say(self, command: Command, then: Callable[[], None]) -> None:
        """All that one turn of the loop has to say goes together, and with it what is done with."""
        if not self._said:
            asyncio.get_running_loop().call_soon(self._tell)
        self._said.append((command, then))

    def _finish(self, stream: Any, entry: Any) -> None:
        """It need not be forgotten at once: mostly there is soon something to say."""
        if not self._finished:
            asyncio.get_running_loop().call_later(FORGET_WITHIN_S, self._tell)
        self._finished.setdefault(stream, []).append(entry)

    def _tell(self) -> None:
        said, self._said = self._said, []
        finished, self._finished = self._finished, {}
        commands = [command for command, _ in said]
        for stream, entries in finished.items():
            commands += [("XACK", stream, GROUP, *entries), ("XDEL", stream, *entries)]
        if commands:
            self._tells.tell(commands).add_done_callback(partial(self._pass_on, [then for _, then in said]))

    def _pass_on(self, said: Sequence[Callable[[], None]], answered: asyncio.Future[list[Any]]) -> None:
        refused = answered.exception()
        if refused is not None:
            # It may have no memory or no disk: what was not taken leaves on the next connection.
            self._tells.give_up(refused)
            return
        for then in said:
            then()

    async def _ask(self, *command: Any) -> Any:
        return await _asked(self._tells, *command)


async def _open(connect: Connect, stack: contextlib.AsyncExitStack) -> PipelinedClient:
    with _said_as_lost():
        line = await PipelinedClient.open(connect)
    stack.push_async_callback(line.close)
    return line


async def _asked(line: PipelinedClient, *command: Any) -> Any:
    with _said_as_lost():
        (answer,) = await line.tell((command,))
    return answer


@contextlib.contextmanager
def _said_as_lost() -> Iterator[None]:
    try:
        yield
    except LOST as error:
        raise BrokerLost(str(error) or type(error).__name__) from error
