"""A consumer that is slow and a broker that is away, under load: services answer, memory is bounded, and then all ends."""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import aiohttp
import pytest

from harness.runtimes.admin import AdminClient
from harness.runtimes.local.deployment import LocalDeployment
from harness.workload.client import ShopClient
from tests.chaos.test_transports import queues_may_be_killed, shop_on
from tests.contract.acts import item, user

pytestmark = [pytest.mark.slow, pytest.mark.broker]

CLIENTS = 40
LIMIT_S = 5.0
DOWN_S = 20.0
SLOW_S = 10.0
GROWTH_MB = 50
ENDED_WITHIN_S = 10.0  # 5 s after the broker can be reached again, which takes its clients a moment
TRANSPORTS = ("streams", "rabbitmq", "kafka")


class Pressure:
    """Clients that buy as fast as they are answered, and a look at every service meanwhile."""

    def __init__(self, shop: LocalDeployment, client: ShopClient) -> None:
        self.shop = shop
        self.statuses: dict[int, int] = {}
        self.health_ms: list[float] = []
        self.memory_mb: dict[str, float] = {}
        self._client = client
        self._over = False

    async def __aenter__(self) -> Self:
        self._items = [await item(self._client, 10**6) for _ in range(8)]
        self._users = [await user(self._client, 10**6) for _ in range(8)]
        self._tasks = [asyncio.create_task(self._buy(number)) for number in range(CLIENTS)]
        self._tasks.append(asyncio.create_task(self._look()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._over = True
        await asyncio.gather(*self._tasks)

    async def _buy(self, number: int) -> None:
        while not self._over:
            made = await self._client.call("create_order", self._users[number % 8])
            if made.outcome == "ok":
                await self._client.call("add_item", made.value, self._items[number % 8], 1)
                response = await self._client.call("checkout", made.value)
                self.statuses[response.status] = self.statuses.get(response.status, 0) + 1

    async def _look(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while not self._over:
                for node in self.shop.nodes():
                    if node.kind == "service" and node.state == "running":
                        started = time.monotonic()
                        async with session.get(f"{node.url}/health") as response:
                            await response.read()
                        self.health_ms.append((time.monotonic() - started) * 1000)
                        self.memory_mb[node.name] = max(self.memory_mb.get(node.name, 0), resident_mb(node.pid))
                await asyncio.sleep(0.1)

    def quantile_ms(self, q: float) -> float:
        return sorted(self.health_ms)[int(q * (len(self.health_ms) - 1))]


def resident_mb(pid: int | None) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1024


def say(text: str) -> None:
    """Figures, for whoever runs this with ``-s``."""
    sys.stdout.write(f"\n{text}\n")


@contextlib.asynccontextmanager
async def pressure_on(transport: str) -> AsyncIterator[Pressure]:
    async with (
        shop_on("local", transport, time_limit_s=LIMIT_S) as shop,
        ShopClient(shop.url, LIMIT_S + 4) as client,
        Pressure(shop, client) as pressure,
    ):
        await queues_may_be_killed(shop)
        await asyncio.sleep(2)
        yield pressure


async def ended(shop: LocalDeployment, within_s: float = ENDED_WITHIN_S) -> float:
    """Seconds until nothing is unfinished."""
    started = time.monotonic()
    while rows := await AdminClient(shop.nodes(), shop.secret).unfinished():
        assert time.monotonic() - started < within_s, rows
        await asyncio.sleep(0.05)
    return time.monotonic() - started


def judged(what: str, transport: str, pressure: Pressure, before_mb: dict[str, float]) -> None:
    grown = {name: round(mb - before_mb[name], 1) for name, mb in pressure.memory_mb.items()}
    p50, p99, most = (pressure.quantile_ms(q) for q in (0.5, 0.99, 1.0))
    say(
        f"{what}, {transport}: {pressure.statuses}; health p50 {p50:.0f} p99 {p99:.0f} max {most:.0f} ms; grown {grown} MB"
    )
    assert p99 < 100
    assert max(grown.values()) < GROWTH_MB


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_broker_that_is_down_for_long(transport: str) -> None:
    async with pressure_on(transport) as pressure:
        before_mb = dict(pressure.memory_mb)
        pressure.health_ms.clear()
        pressure.shop.kill("broker", stay_down=True)
        await asyncio.sleep(DOWN_S)
        await pressure.shop.restart("broker")
        judged("broker down", transport, pressure, before_mb)
        paid = pressure.statuses[200]
        await asyncio.sleep(6)
        assert pressure.statuses[200] > paid, "it sells again"
        pressure._over = True
        await asyncio.sleep(LIMIT_S)
        say(f"ended after {await ended(pressure.shop):.1f} s")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_consumer_that_is_slow(transport: str) -> None:
    """Its store is frozen again and again, and has a tenth of the time that it needs; the service itself is awake."""
    async with pressure_on(transport) as pressure:
        before_mb = dict(pressure.memory_mb)
        pressure.health_ms.clear()
        deadline = time.monotonic() + SLOW_S
        while time.monotonic() < deadline:
            pressure.shop.pause("stock-store")
            await asyncio.sleep(0.45)
            pressure.shop.resume("stock-store")
            await asyncio.sleep(0.05)
        judged("slow consumer", transport, pressure, before_mb)
        pressure._over = True
        await asyncio.sleep(LIMIT_S)
        say(f"ended after {await ended(pressure.shop):.1f} s")
