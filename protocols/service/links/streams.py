"""Messages over Valkey streams: one stream a service, which its instances share as a consumer group, and one an instance.

An entry is delivered to one consumer of the group and stays its own until it is acknowledged. A process that comes back takes
its own entries up at once; what another one has kept for too long is claimed from it. What is acknowledged is
deleted, so a stream holds what is under way and nothing else.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from protocols.service.codec import Codec
from protocols.service.links import LETTERS
from protocols.service.links.broker import BrokerLink, BrokerLost, Parcel
from protocols.service.settings import Settings
from protocols.service.tasks import Crew

GROUP = "wdm"
DEAD = "wdm:dead"
READ = 16  # entries at a time, of each stream
BLOCK_MS = 1_000
ANSWER_WITHIN_S = 3.0
CLAIM_EVERY_S = 1.0
CLAIM_AFTER_MS = 5_000  # longer than a store that is being restarted takes
FORGET_WITHIN_S = 0.02
BUNDLES = 2
LOST = (RedisError, OSError, TimeoutError)


Command = tuple[Any, ...]


def link(settings: Settings, codec: Codec) -> BrokerLink:
    streams = (name_of(settings.service), name_of(settings.node))
    return BrokerLink(settings.node, codec, lambda: connected(settings.broker_url, settings.node, streams))


def name_of(to: str) -> str:
    return f"wdm:{to}"


async def buried(url: str) -> Sequence[bytes]:
    """See ``Transport.buried``."""
    async with connected(url, "", ()) as channel:
        return await channel.dead()


async def plant(url: str, service: str, body: bytes) -> None:
    """See ``Transport.plant``."""
    async with connected(url, "", ()) as channel:
        await channel.add(service, body)


@contextlib.asynccontextmanager
async def connected(url: str, node: str, streams: Sequence[str]) -> AsyncIterator["StreamsChannel"]:
    # No hidden retry: what is repeated, and when, is the link's business. No time limit of the library's either: it would
    # write under asyncio.wait_for, which loses cancellations (see ``tasks``).
    client = Redis.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        socket_connect_timeout=1,
        socket_timeout=None,
        protocol=2,
    )
    try:
        channel = StreamsChannel(client, node, streams)
        await channel.open()
        yield channel
    finally:
        with contextlib.suppress(*LOST):
            await client.aclose()


class StreamsChannel:
    """``node`` is the consumer's name. ``streams``: the service's and the instance's own."""

    def __init__(self, client: Redis, node: str, streams: Sequence[str]) -> None:
        self._client = client
        self._node = node
        self._streams = streams
        self._asked: list[tuple[Command, asyncio.Future[None] | None]] = []
        self._finished: dict[Any, list[Any]] = {}  # entries by stream
        self._some = asyncio.Event()

    async def open(self) -> None:
        for stream in self._streams:
            try:
                await self._ask("XGROUP", "CREATE", stream, GROUP, "0", "MKSTREAM")
            except BrokerLost as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    async def publish(self, to: str, body: bytes) -> None:
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._enter(("XADD", name_of(to), "*", "b", body), sent)
        await sent

    async def add(self, to: str, body: bytes) -> None:
        """The same by itself, for whoever does not let it ``work``."""
        await self._ask("XADD", name_of(to), "*", "b", body)

    async def parcels(self) -> AsyncIterator[Parcel]:
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
        """What one turn of the loop has to say goes together, and with it what is done with; two such bundles at a time."""
        crew = Crew()
        for _ in range(BUNDLES):
            crew.add(self._send_bundles(), "streams send")
        await crew.until_one_fails()

    async def dead(self) -> Sequence[bytes]:
        return [fields[b"b"] for _, fields in await self._ask("XRANGE", DEAD, "-", "+", "COUNT", LETTERS)]

    # ------------------------------------------------------------ inside

    async def _send_bundles(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            asked, self._asked = self._asked, []
            finished, self._finished = self._finished, {}
            commands = [command for command, _ in asked]
            for stream, entries in finished.items():
                commands += [("XACK", stream, GROUP, *entries), ("XDEL", stream, *entries)]
            await self._ask_all(commands)
            for _, sent in asked:
                if sent is not None and not sent.done():
                    sent.set_result(None)

    async def _own(self) -> AsyncIterator[Parcel]:
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
        return await self._ask(*command, *self._streams, *ids) or []

    async def _claimed(self) -> list[Parcel]:
        """What an instance of the service took and has not acknowledged for long: it is gone, or its store is."""
        stream = self._streams[0]
        answer = await self._ask("XAUTOCLAIM", stream, GROUP, self._node, CLAIM_AFTER_MS, "0", "COUNT", READ)
        return list(self._opened(stream, answer[1]))

    def _opened(self, stream: Any, entries: Sequence[tuple[Any, dict[bytes, bytes]]]) -> Sequence[Parcel]:
        bodies = (
            (entry, fields[b"b"]) for entry, fields in entries if fields
        )  # some are deleted while they are pending
        return [self._parcel(stream, entry, body) for entry, body in bodies]

    def _parcel(self, stream: Any, entry: Any, body: bytes) -> Parcel:
        def bury(why: str) -> None:
            self._enter(("XADD", DEAD, "*", "b", body, "why", why))
            self._finish(stream, entry)

        return Parcel(body, lambda: self._finish(stream, entry), bury)

    def _enter(self, command: Command, sent: asyncio.Future[None] | None = None) -> None:
        self._asked.append((command, sent))
        self._some.set()

    def _finish(self, stream: Any, entry: Any) -> None:
        """It need not be forgotten at once: mostly there is soon something to send."""
        if not self._finished:
            asyncio.get_running_loop().call_later(FORGET_WITHIN_S, self._some.set)
        self._finished.setdefault(stream, []).append(entry)

    async def _ask(self, *command: Any) -> Any:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except LOST as error:
            raise BrokerLost(str(error) or type(error).__name__) from error

    async def _ask_all(self, commands: Sequence[Command]) -> None:
        if not commands:
            return
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    await pipeline.execute()
            except LOST as error:
                raise BrokerLost(str(error) or type(error).__name__) from error
