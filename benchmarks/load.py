"""Load on HTTP services: a closed loop of clients that wait for each answer, and an open loop with a fixed rate.

The generator shares the machine with the measured services, so it does as little as possible in Python: it keeps one connection
a client, writes requests as bytes, and reads only the status of an answer.
"""

import asyncio
import resource
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

TICK_S = 0.001
MOST_CONNECTIONS = 4_000
LOST = 0  # the status of a request whose connection broke
_END_OF_HEAD = b"\r\n\r\n"
_LENGTH = b"content-length:"


@dataclass(slots=True)
class Load:
    """The result of one round. `latencies_ms` are sorted and of all requests; `cpu_s` is that of the generator."""

    seconds: float = 0.0
    cpu_s: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)

    @property
    def rate_per_s(self) -> float:
        """Successes a second."""
        return self.statuses[200] / self.seconds

    def quantile_ms(self, q: float) -> float:
        """Return a quantile of the latencies."""
        return self.latencies_ms[min(int(q * len(self.latencies_ms)), len(self.latencies_ms) - 1)]


def describe(load: Load) -> str:
    """Describe a load in one line."""
    other = {status: count for status, count in load.statuses.items() if status != 200}
    return (
        f"{load.rate_per_s:.0f}/s, p50 {load.quantile_ms(0.5):.1f} ms, p99 {load.quantile_ms(0.99):.1f} ms, "
        f"generator {load.cpu_s / load.seconds:.0%} of a core{f', others {other}' if other else ''}"
    )


async def closed_loop(urls: Sequence[str], paths: Iterator[str], clients: int, seconds: float) -> Load:
    """POST to `paths`, one after the other, from `clients` clients for `seconds` or until no path is left.

    `urls` are the instances of one service; each client stays with one of them.
    """
    load = Load()
    end = time.perf_counter() + seconds

    def send_next(client: _Client) -> None:
        path = next(paths, None) if time.perf_counter() < end else None
        if path is None:
            client.close()
        else:
            client.send(path, time.perf_counter())

    with _Measured(load):
        connections = [await _Client.connect(urls[number % len(urls)], load, send_next) for number in range(clients)]
        for client in connections:
            send_next(client)
        await asyncio.gather(*(client.closed for client in connections))
    return load


async def open_loop(urls: Sequence[str], paths: Iterator[str], rate_per_s: float, seconds: float) -> Load:
    """POST to `paths` at a fixed rate, whether or not earlier requests have an answer, with one connection for each open request.

    A latency counts from the due time of its request, so that the delay of a late generator or service is part of it. With
    `MOST_CONNECTIONS` requests open, the next one waits, and its wait counts as well.
    """
    load = Load()
    loop = asyncio.get_running_loop()
    idle: deque[_Client] = deque()
    connections: list[_Client] = []
    open_: list[asyncio.Task[None]] = []

    async def connect_and_send(path: str, due: float) -> None:
        client = await _Client.connect(urls[len(connections) % len(urls)], load, idle.append)
        connections.append(client)
        client.send(path, due)

    def connected() -> int:
        return sum(not client.closed.done() for client in connections)

    def full() -> bool:
        """Return whether every connection is in use. A failed attempt to connect is none; its error is raised at the end."""
        return len(open_) >= MOST_CONNECTIONS <= connected() + sum(not task.done() for task in open_)

    with _Measured(load):
        started = time.perf_counter()
        for number in range(int(rate_per_s * seconds)):
            due = started + number / rate_per_s
            while due > time.perf_counter():
                await asyncio.sleep(
                    TICK_S
                )  # requests of one tick leave together: a timer each would cost more than a request
            while not idle and full():
                await asyncio.sleep(TICK_S)
            path = next(paths)
            if idle:
                idle.popleft().send(path, due)
            else:
                open_.append(loop.create_task(connect_and_send(path, due)))
        await asyncio.gather(*open_)
        while len(idle) < connected():
            await asyncio.sleep(0.01)
    for client in connections:
        client.close()
    return load


class _Measured:
    """A context manager that writes the time and the processor time of its block into a load."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def __enter__(self) -> None:
        self._started, self._cpu_s = time.perf_counter(), _cpu_s()

    def __exit__(self, *_: object) -> None:
        self._load.seconds = time.perf_counter() - self._started
        self._load.cpu_s = _cpu_s() - self._cpu_s
        self._load.latencies_ms.sort()


class _Client(asyncio.Protocol):
    """A connection with one request at a time; `then` is called after each answer."""

    def __init__(self, host: str, load: Load, then: Callable[["_Client"], None]) -> None:
        self._tail = f" HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode()
        self._load = load
        self._then = then
        self._begun = 0.0
        self._received = b""
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def connect(cls, url: str, load: Load, then: Callable[["_Client"], None]) -> "_Client":
        at = urlsplit(url)
        _, client = await asyncio.get_running_loop().create_connection(
            lambda: cls(at.netloc, load, then), at.hostname, at.port
        )
        return client

    def send(self, path: str, begun: float) -> None:
        """Send a request; its latency counts from `begun`."""
        self._begun = begun
        self._transport.write(b"POST " + path.encode() + self._tail)

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head = received.find(_END_OF_HEAD)
        if head < 0 or len(received) < head + len(_END_OF_HEAD) + _length(received[:head]):
            self._received = received
            return
        self._received = b""
        self._load.statuses[int(received[9:12])] += 1
        self._load.latencies_ms.append((time.perf_counter() - self._begun) * 1e3)
        self._then(self)

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self._load.statuses[LOST] += 1
        if not self.closed.done():
            self.closed.set_result(None)


def _length(head: bytes) -> int:
    at = head.lower().find(_LENGTH)
    if at < 0:
        return 0
    return int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0])


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
