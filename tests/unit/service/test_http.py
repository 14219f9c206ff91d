"""Servers with bounded costs for hostile clients: time, connections and log lines."""

import asyncio
import io
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest
from aiohttp import web

from protocols.service.http import (
    LINES_PER_S,
    LONGEST_LINE,
    BoundedRunner,
    BoundedServer,
    LibraryLog,
    listen,
    most_connections,
)

SOON_S = 0.2
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def serving(limit: int | None = None, *, app: bool = False, idle_s: float = 60) -> AsyncIterator[int]:
    async def handle(request: web.BaseRequest) -> web.Response:
        await request.read()
        return web.Response(text="here")

    runner: web.ServerRunner | web.AppRunner
    if app:
        application = web.Application()
        application.router.add_get("/", handle)
        runner = BoundedRunner(application, head_within_s=SOON_S, shutdown_timeout=0.1)
    else:
        server = BoundedServer(handle, limit=limit, head_within_s=SOON_S, keepalive_timeout=idle_s)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def closed_after_s(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drip: bytes = b"") -> float:
    """How long the server kept a connection on which at most one byte of ``drip`` comes every 50 ms."""
    loop = asyncio.get_running_loop()
    began, at = loop.time(), 0
    async with asyncio.timeout(20 * SOON_S):
        while True:
            try:
                async with asyncio.timeout(0.05):
                    if not await reader.read(1_000):
                        return loop.time() - began
            except TimeoutError:
                writer.write(drip[at : at + 1])
                at += 1
            except ConnectionError:
                return loop.time() - began


@pytest.mark.parametrize("app", [False, True], ids=["server", "application"])
@pytest.mark.parametrize("drip", [b"", GET[:-1] + b"X-Slow: loris\r\n"], ids=["silent", "slow"])
async def test_a_head_that_does_not_come_ends_its_connection(drip: bytes, app: bool) -> None:
    async with serving(app=app) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert SOON_S * 0.9 < await closed_after_s(reader, writer, drip) < SOON_S * 10
        writer.close()


async def test_a_second_head_has_no_more_time_than_the_first() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        assert b"here" in await reader.readuntil(b"here")
        writer.write(GET[:9])
        await closed_after_s(reader, writer, GET[9:])
        writer.close()


async def test_an_idle_connection_ends_and_one_in_use_does_not() -> None:
    async with serving(idle_s=2 * SOON_S) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(6):
            writer.write(GET)
            assert b"here" in await reader.readuntil(b"here")
            await asyncio.sleep(SOON_S / 2)
        assert await closed_after_s(reader, writer) > SOON_S
        writer.close()


async def test_connections_beyond_the_limit_are_answered_that_nothing_happened() -> None:
    async with serving(limit=2) as port:
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in held:
            writer.write(GET)
            await reader.readuntil(b"here")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert (await reader.read()).startswith(b"HTTP/1.1 429 ")
        for _, each in (*held, (reader, writer)):
            each.close()


def test_half_of_the_open_files_may_be_connections() -> None:
    assert most_connections(64) == 16
    assert most_connections(8) == 4
    assert most_connections(2**40) < 2**16


async def test_malformed_http_is_400_and_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    rng = Random(13)
    whole = b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    async with serving() as port:
        for number in range(60):
            bad = bytearray(whole[: rng.randrange(1, len(whole))] if number % 2 else whole)
            for _ in range(rng.randrange(1, 6)):
                bad[rng.randrange(len(bad))] = rng.randrange(256)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(bytes(bad) if number % 5 else rng.randbytes(9_000))
            writer.write_eof()
            response = await reader.read()
            assert not response or response[9:12] in (b"200", b"400", b"413"), bad
            writer.close()
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.WARNING]


def test_log_lines_are_bounded_in_length_and_in_rate() -> None:
    kept = io.StringIO()
    log = logging.getLogger("a library of nobody")
    log.propagate = False
    log.addHandler(LibraryLog(kept))
    for _ in range(200):
        log.warning("%s", "long\n" * 10_000)
    lines = kept.getvalue().splitlines()
    assert 1 <= len(lines) <= 2 * LINES_PER_S  # a new second may have begun
    assert max(map(len, lines)) < 2 * LONGEST_LINE


async def test_localhost_is_served_on_both_loopbacks() -> None:
    async def handle(_: web.BaseRequest) -> web.Response:
        return web.Response(text="here")

    runner = web.ServerRunner(BoundedServer(handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        port = await listen(runner, "127.0.0.1", 0)
        hosts = [address[0] for address in runner.addresses]
        assert hosts == ["127.0.0.1", *(["::1"] if _has_ipv6() else [])]
        for host in hosts:
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(GET)
            assert b"here" in await reader.readuntil(b"here")
            writer.close()
    finally:
        await runner.cleanup()


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True
