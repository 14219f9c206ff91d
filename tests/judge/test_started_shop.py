"""The start and the end of a shop of a batch, piece by piece."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path

import pytest
from aiohttp import web

from harness.judge import started_shop
from harness.judge.batch_file import BatchEntry
from harness.judge.examination import Limits
from harness.judge.started_shop import StartedShop


def an_entry(folder: Path, url: str, ready_s: float) -> BatchEntry:
    return BatchEntry(
        name="a shop",
        folder=folder,
        limits=Limits(),
        isolation="none",
        parts=(),
        ready_s=ready_s,
        urls={"orders": url},
        nodes={},
        env={},
    )


async def test_a_gateway_without_its_services_has_not_started(tmp_path: Path) -> None:
    """A gateway accepts connections before its services do, and answers 502 meanwhile: the examination waits for them."""
    answered = count(1)

    async def handle(_: web.BaseRequest) -> web.Response:
        return web.Response(status=502 if next(answered) < 4 else 404)

    async with _Served(handle) as url:
        entry = an_entry(tmp_path, url, ready_s=20.0)
        await StartedShop(entry, tmp_path).await_answer({"orders": url})
    assert next(answered) == 5


async def test_a_gateway_that_goes_on_with_502_is_judged(tmp_path: Path) -> None:
    async def handle(_: web.BaseRequest) -> web.Response:
        return web.Response(status=502)

    async with _Served(handle) as url:
        entry = an_entry(tmp_path, url, ready_s=0.5)
        await StartedShop(entry, tmp_path).await_answer({"orders": url})


async def test_a_command_that_ignores_sigterm_does_not_hold_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(started_shop, "TERM_S", 0.3)
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        "trap '' TERM; echo up; while :; do sleep 1; done",
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    async with asyncio.timeout(10):
        await started_shop._end(process)
    assert process.returncode == -9


class _Served:
    """A server on loopback, as a context that gives its address."""

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.Response]]) -> None:
        self._runner = web.ServerRunner(web.Server(handle), shutdown_timeout=0.1)

    async def __aenter__(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()
