"""A closed loop: each of so many clients asks, waits for the answer and asks again."""

import asyncio
import resource
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp


@dataclass(slots=True)
class Load:
    """One round. ``latencies_ms`` of all requests, sorted; ``cpu_s`` is what the generator itself took."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def rate_per_s(self) -> float:
        """Successes a second."""
        return self.statuses[200] / self.seconds

    def quantile_ms(self, q: float) -> float:
        return self.latencies_ms[min(int(q * len(self.latencies_ms)), len(self.latencies_ms) - 1)]


async def closed_loop(urls: Iterator[str], clients: int, seconds: float) -> Load:
    """POST to ``urls``, one after the other, from ``clients`` clients for ``seconds`` or until there are no more."""
    load = Load()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        started, cpu = time.monotonic(), _cpu_s()
        end = started + seconds

        async def client() -> None:
            while (begun := time.monotonic()) < end and (url := next(urls, "")):
                async with session.post(url) as response:
                    await response.read()
                load.latencies_ms.append((time.monotonic() - begun) * 1e3)
                load.statuses[response.status] += 1

        await asyncio.gather(*(client() for _ in range(clients)))
        load.seconds = time.monotonic() - started
        load.cpu_s = _cpu_s() - cpu
    load.latencies_ms.sort()
    return load


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
