"""Probes of whether a node serves, over bare sockets, so that the supervisor stays small and starts quickly."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

ANSWER_WITHIN_S = 2.0
Probe = Callable[[], Awaitable[bool]]


def http(port: int, path: str = "/health") -> Probe:
    """Return a probe that is true once this loopback port answers a GET with 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode()

    async def serves() -> bool:
        return (await _exchange(port, request)).split(b" ")[1:2] == [b"200"]

    return serves


def store(port: int, password: str) -> Probe:
    """Return a probe that is true once the store on this loopback port has loaded its log and answers."""

    async def serves() -> bool:
        return await _exchange(port, f"AUTH {password}\r\nPING\r\n".encode(), lines=2) == b"+OK\r\n+PONG\r\n"

    return serves


def sentinel(port: int, password: str, stores: tuple[str, ...]) -> Probe:
    """Return a probe that is true once the Sentinel on this loopback port could elect a primary of each of these stores."""
    request = "".join((f"AUTH {password}\r\n", *(f"SENTINEL CKQUORUM {store}\r\n" for store in stores)))

    async def serves() -> bool:
        lines = (await _exchange(port, request.encode(), lines=1 + len(stores))).splitlines()
        return len(lines) == 1 + len(stores) and all(line.startswith(b"+OK") for line in lines)

    return serves


def cluster(port: int, password: str) -> Probe:
    """Return a probe that is true once the cluster node on this loopback port takes commands."""

    async def serves() -> bool:
        answer = await _exchange(port, f"AUTH {password}\r\nCLUSTER INFO\r\n".encode(), lines=3)
        return answer.endswith(b"cluster_state:ok\r\n")

    return serves


def answers(port: int, request: bytes, beginning: bytes, skip: int = 0) -> Probe:
    """Return a probe that is true once this loopback port answers `request` with `skip` bytes and then `beginning`."""

    async def serves() -> bool:
        return (await _read(port, request, skip + len(beginning)))[skip:] == beginning

    return serves


async def _read(port: int, request: bytes, count: int) -> bytes:
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                return await reader.readexactly(count)
            finally:
                writer.close()
    return b""


async def _exchange(port: int, request: bytes, lines: int = 1) -> bytes:
    """Return the first lines of the answer; empty if there is none."""
    with suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(ANSWER_WITHIN_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(request)
                return b"".join([await reader.readline() for _ in range(lines)])
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()
    return b""
