"""Messages as batched POSTs: all that is ready for one peer goes in one request, two requests a peer under way at a time.

POST, because the client library re-sends PUT, DELETE and GET by itself. A batch that fails is lost; the protocol repeats.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp
import structlog

from protocols.service.codec import Codec
from protocols.service.links import Counts, Receive
from protocols.service.settings import Settings

PATH = "/internal/messages"
SECRET = "x-wdm-secret"  # noqa: S105 - the header's name
UNDER_WAY = 2
BATCH = 512
TIMEOUT = aiohttp.ClientTimeout(total=3, sock_connect=1)

log = structlog.get_logger()


class _Peer:
    """One address: what waits for it and how many requests are under way."""

    __slots__ = ("under_way", "url", "waiting")

    def __init__(self, url: str) -> None:
        self.url = url + PATH
        self.waiting: deque[Any] = deque()
        self.under_way = 0


def link(settings: Settings, codec: Codec) -> "HttpLink":
    return HttpLink(settings.advertise, settings.peers, settings.routes, settings.secret, codec)


class HttpLink:
    """``peers`` maps a service to the addresses of its instances, ``sender`` is where answers to this one go.

    ``routes`` maps an instance's address to the one by which this process reaches it, where that is another.
    """

    def __init__(
        self, sender: str, peers: Mapping[str, Sequence[str]], routes: Mapping[str, str], secret: str, codec: Codec
    ) -> None:
        self._sender = sender
        self._routes = routes
        self._instances = {service: itertools.cycle(addresses) for service, addresses in peers.items()}
        self._headers = {SECRET: secret, "content-type": "application/msgpack"}
        self._codec = codec
        self._peers: dict[str, _Peer] = {}
        self._posts: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.counts = Counts()

    @property
    def up(self) -> bool:
        return True  # each message finds out for itself

    @property
    def waiting(self) -> int:
        return sum(len(peer.waiting) for peer in self._peers.values())

    async def start(self, receive: Receive) -> None:  # noqa: ARG002 - what comes in is a request to the application
        self._session = aiohttp.ClientSession(
            # A peer's container that comes back may have another address; by default the old one is kept for 10 s.
            connector=aiohttp.TCPConnector(limit=0, use_dns_cache=False),
            timeout=TIMEOUT,
            headers=self._headers,
        )

    async def stop(self) -> None:
        for task in list(self._posts):
            task.cancel()
        await asyncio.gather(*self._posts, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def send(self, to: str, message: Any) -> None:
        instances = self._instances.get(to)
        address = self._routes.get(to, to) if instances is None else next(instances)
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = _Peer(address)
        peer.waiting.append(message)
        if peer.under_way < UNDER_WAY:
            peer.under_way += 1
            task = asyncio.get_running_loop().create_task(self._post_all(peer))
            self._posts.add(task)
            task.add_done_callback(self._posts.discard)

    async def _post_all(self, peer: _Peer) -> None:
        """The task starts at the loop's next turn: by then everything this turn had to say is waiting."""
        try:
            while peer.waiting:
                batch = [peer.waiting.popleft() for _ in range(min(BATCH, len(peer.waiting)))]
                await self._post(peer, batch)
        finally:
            peer.under_way -= 1

    async def _post(self, peer: _Peer, batch: list[Any]) -> None:
        assert self._session is not None
        self.counts.posts += 1
        self.counts.messages += len(batch)
        try:
            async with self._session.post(peer.url, data=self._codec.encode(self._sender, batch)) as response:
                if response.status == 204:
                    return
                reason = f"status {response.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            reason = str(error) or type(error).__name__
        self.counts.lost += len(batch)
        log.debug("messages lost", to=peer.url, count=len(batch), reason=reason)
