"""One service process, put together: store, link, driver, attempts, desk."""

import asyncio
import contextlib
import uuid
from random import Random
from typing import Any
from urllib.parse import quote

import aiohttp
import structlog
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from protocols.core import Command
from protocols.ports import LoopClock, Result, StoreDown, StoreUnknown
from protocols.registry import load
from protocols.service.attempts import Attempts, TxnIds
from protocols.service.codec import Codec
from protocols.service.driver import Driver
from protocols.service.faults import Injected
from protocols.service.library import source
from protocols.service.links.http import HttpLink
from protocols.service.settings import Settings
from protocols.service.store import ValkeyStore
from protocols.shop.desk import Answer, Desk, refused

ASK_AGAIN_MS = 25.0
ASK_AGAIN_LATEST_MS = 200.0

log = structlog.get_logger()


class Node:
    """Everything a service process runs, from its settings. ``start`` and ``stop`` it inside an event loop."""

    def __init__(self, settings: Settings) -> None:
        protocol = load(settings.protocol)
        self.settings = settings
        self.config = protocol.configure(settings.options, settings.ablate, settings.timing)
        self.clock = LoopClock()
        self.codec = Codec(protocol.messages)
        self.role = protocol.roles[settings.service]
        self.store = ValkeyStore(
            connector(settings.store_url), source(protocol, self.config), self.clock, settings.limit_ms
        )
        self.link = HttpLink(settings.advertise, settings.peers, settings.routes, settings.secret, self.codec)
        self._ids = TxnIds(uuid.uuid4().hex[:12])
        self.driver = Driver(
            settings.service, self.role, self.config, self.store, self.link, self.clock, ended=self._ids.end
        )
        self.injected = Injected(self.driver, self.link, self.clock)
        self.injected.become(settings.faults)
        rng = Random(uuid.uuid4().int)
        attempts = Attempts(settings.service, settings.node, self.driver, self._ids, self.clock, rng, settings.limit_ms)
        self.desk = Desk(
            self.store, self.clock, rng, settings.limit_ms, self._ask, attempts.run, lambda: uuid.uuid4().hex
        )
        self.requests: dict[str, dict[int, int]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._session = aiohttp.ClientSession()
        await self.link.start()
        self.store.start()
        self._sweeper = asyncio.create_task(self._sweep())

    async def stop(self, drain_s: float = 0.3) -> None:
        """Let what is under way end, for a moment; what does not is recovered by the next one to start."""
        deadline = asyncio.get_running_loop().time() + drain_s
        while self.driver.live and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        if self._sweeper is not None:
            self._sweeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sweeper
        await self.link.stop()
        await self.store.stop()
        if self._session is not None:
            await self._session.close()

    # ------------------------------------------------------------ recovery

    async def _sweep(self) -> None:
        """At the start take up what this node's former life left behind; from then on what nobody else takes care of."""
        owner = self.settings.node
        orphan_ms = self.role.orphan(self.config.timing)
        while True:
            try:
                found = await self.store.call(Command(self.role.recovery, (owner, orphan_ms)))
            except (StoreDown, StoreUnknown):
                continue
            if found and owner:
                log.info("recovering", transactions=len(found))
            self._recover(found)
            owner = ""
            await self.clock.sleep(self.config.timing.sweep)

    def _recover(self, found: Result) -> None:
        for txn, record in found:
            log.debug("recovered", txn=txn, record=record[1:])
        self.driver.recover(found)

    # ------------------------------------------------------------ other services

    async def _ask(self, service: str, path: str) -> Answer:
        """A read of another service's public interface, repeated within the time limit: reading twice changes nothing."""
        assert self._session is not None
        addresses = self.settings.peers[service]
        deadline = self.clock.now_us() + self.settings.limit_ms * 1000
        turn = 0
        while True:
            address = addresses[turn % len(addresses)]
            turn += 1
            left_s = (deadline - self.clock.now_us()) / 1e6
            try:
                timeout = aiohttp.ClientTimeout(total=max(left_s, 0.05), sock_connect=1)
                async with self._session.get(address + quote(path), timeout=timeout) as response:
                    if response.status < 500:
                        return Answer(response.status, await response.json(content_type=None))
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.debug("asked in vain", service=service, error=str(error) or type(error).__name__)
            pause = min(ASK_AGAIN_MS * turn, ASK_AGAIN_LATEST_MS)
            if self.clock.now_us() + pause * 1000 > deadline:
                return refused(424, f"the {service} service could not be reached; nothing happened")
            await self.clock.sleep(pause)


def connector(url: str) -> Any:
    """A function that makes a new connection each time: no retry, no health check, no pool's surprises."""
    pool = ConnectionPool.from_url(
        url,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        socket_connect_timeout=1,
        socket_timeout=None,  # 5 s by default: it would end a connection that has nothing to say
        protocol=2,
    )
    return lambda: pool.connection_class(**pool.connection_kwargs)
