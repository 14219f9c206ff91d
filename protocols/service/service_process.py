"""One service process, assembled from its settings: the service behind the ports of a real process."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Sequence
from random import Random
from typing import Any

import aiohttp
import structlog
from yarl import URL

from protocols.core import Config, Protocol
from protocols.ports import LoopClock
from protocols.registry import load
from protocols.service.codec import Codec
from protocols.service.copies.client import CopiedStore
from protocols.service.copies.discovery import by_elector, by_manager
from protocols.service.faults import FaultInjector
from protocols.service.links import transport
from protocols.service.lua_library import source
from protocols.service.service import Service, ServicePorts
from protocols.service.settings import Settings
from protocols.service.store import ValkeyStore
from protocols.service.tasks import Background
from protocols.service.trace import TraceWriter
from protocols.service.valkey_connection import ServerAddress
from protocols.shop.request_context import Answer
from protocols.store.lives import has_generations

LISTED = 10
LONGEST_TEXT = 300

log = structlog.get_logger()


class ServiceProcess:
    """The parts of a service process. `start` and `stop` run inside an event loop."""

    def __init__(self, settings: Settings) -> None:
        self.protocol = protocol = load(settings.protocol)
        config = protocol.configure(settings.options, settings.ablate, settings.timing)
        self.settings = settings
        self.clock = LoopClock()
        self.store = _store(settings, protocol, config, self.clock)
        self.link = transport(settings.transport).link(settings, Codec(protocol.messages))
        ports = ServicePorts(
            self.store,
            self.link,
            self.clock,
            rng=Random(uuid.uuid4().int),
            fetch=self._fetch,
            new_id=lambda: uuid.uuid4().hex,
            process=uuid.uuid4().hex,
        )
        name, node, limit_ms = settings.service, settings.node, settings.limit_ms
        self.service = Service(name, node, protocol, config, ports, limit_ms, settings, _Log())
        self.driver = self.service.driver
        if settings.trace:
            self.driver.observer = TraceWriter(settings.trace)
        self.fault_injector = FaultInjector(self.driver, self.link, self.clock)
        self.fault_injector.apply(settings.faults)
        self.requests: dict[str, dict[int, int]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._tasks = Background(log.error)

    async def start(self) -> None:
        """Connect to store and broker in the background, and begin to sweep."""
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(use_dns_cache=False))
        await self.link.start(self.service.receive)
        self.store.start()
        self._tasks.keep(self.service.sweep, "sweep")

    async def stop(self, drain_s: float = 0.3) -> None:
        """Give transactions under way `drain_s` to end, then stop; the next process of this node recovers the rest."""
        deadline = asyncio.get_running_loop().time() + drain_s
        while self.driver.live and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        await self._tasks.stop()
        await self.link.stop()
        await self.store.stop()
        if self._session is not None:
            await self._session.close()

    async def _fetch(self, service: str, turn: int, path: str, within_s: float) -> Answer | None:
        assert self._session is not None
        addresses = self.settings.peers[service]
        address = addresses[turn % len(addresses)]
        timeout = aiohttp.ClientTimeout(total=within_s, sock_connect=1)
        try:
            async with self._session.get(URL(address + path, encoded=True), timeout=timeout) as response:
                if response.status < 500:
                    return Answer(response.status, _parsed(await response.text(errors="replace")))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            log.debug("query failed", service=service, error=str(error) or type(error).__name__)
        return None


def _store(settings: Settings, protocol: Protocol, config: Config, clock: LoopClock) -> ValkeyStore:
    addresses = [ServerAddress.parse(url) for url in settings.store_url.split()]
    managed = settings.managed
    prefix = managed.key_prefix if managed else ""
    library = source(protocol, config, prefix)
    limit_ms, generations = settings.limit_ms, has_generations(config)
    if managed is None and len(addresses) == 1:
        return ValkeyStore(addresses[0], library, clock, limit_ms, generations=generations)
    if managed is None:
        return CopiedStore(addresses[0], by_elector(addresses), library, clock, limit_ms, config.enabled)
    # Every primary runs on its own copy of the data, which may lack the last writes of the former one.
    return CopiedStore(
        addresses[0],
        by_manager(managed, addresses),
        library,
        clock,
        limit_ms,
        config.enabled,
        generations=generations,
        key_prefix=prefix,
    )


def _parsed(text: str) -> dict[str, Any] | str:
    """Return the body of an answer: an object if it is a JSON object, else its text."""
    with contextlib.suppress(ValueError, RecursionError):
        body = json.loads(text)
        if isinstance(body, dict):
            return body
    return text[:LONGEST_TEXT]


class _Log:
    """A `ServiceLog` of structured lines."""

    def recovering(self, txns: Sequence[str]) -> None:
        if txns:
            log.info("recovering", transactions=txns[:LISTED], in_all=len(txns))

    def superseded(self, life: int, newer_life: int) -> None:
        log.error(
            "superseded by another process of this node; the store refuses the transactions of this one: give each process "
            "a WDM_NODE of its own, or stop this one",
            life=life,
            newer_life=newer_life,
        )
