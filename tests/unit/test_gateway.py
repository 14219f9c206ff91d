"""The gateway against upstreams that refuse, break and lie: copies share a key, and no answer says what nobody knows."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from harness.runtimes.deployment.ports import Ports
from harness.runtimes.local.gateway import Gateway
from protocols.shop.idempotency_key import FINAL_HEADER, KEY_HEADER
from protocols.shop.paths import service_of

LIMIT_S = 0.6
Upstream = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@pytest.fixture
def port() -> int:
    """One that nobody listens on."""
    ports = Ports()
    try:
        return ports.take()
    finally:
        ports.close()


@asynccontextmanager
async def serving(handler: Upstream, port: int = 0) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class RecordingUpstream:
    """An upstream that records its requests; ``breaks`` makes it hang up instead of answering."""

    def __init__(self, *, breaks: int = 0, after_s: float = 0) -> None:
        self.seen: list[str] = []
        self.keys: list[str] = []
        self._breaks = breaks
        self._after_s = after_s

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.seen.append(f"{request.method} {request.raw_path}")
        self.keys.append(request.headers.get(KEY_HEADER, ""))
        await asyncio.sleep(self._after_s)
        if len(self.seen) <= self._breaks:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"turn": len(self.seen)}, status=201)


class Through:
    """A client of a gateway in front of stock workers."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session

    async def __call__(self, method: str, path: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
        async with self._session.request(method, self._url + path, headers=headers) as answer:
            return answer.status, await answer.text()


@asynccontextmanager
async def gateway(*stock: str) -> AsyncIterator[Through]:
    async with AsyncExitStack() as stack:
        one = Gateway({"stock": list(stock)}, LIMIT_S)
        await one.start()
        stack.push_async_callback(one.stop)
        url = await stack.enter_async_context(serving(one.handle))
        # A fresh connection each time: aiohttp's client must not repeat anything in this test either.
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))
        yield Through(url, await stack.enter_async_context(session))


async def test_method_and_raw_path_go_through_unchanged() -> None:
    upstream = RecordingUpstream()
    async with serving(upstream) as url, gateway(url) as send:
        assert await send("POST", "/stock/add/a%2Fb/5?x=%20y") == (201, '{"turn": 1}')
        assert await send("DELETE", "/stock/x") == (201, '{"turn": 2}')
    assert upstream.seen == ["POST /stock/add/a%2Fb/5?x=%20y", "DELETE /stock/x"]


async def test_workers_take_turns() -> None:
    first, second = RecordingUpstream(), RecordingUpstream()
    async with serving(first) as one, serving(second) as two, gateway(one, two) as send:
        for _ in range(4):
            await send("POST", "/stock/item/create/1")
    assert len(first.seen) == len(second.seen) == 2


async def test_a_worker_that_refuses_is_passed_over(port: int) -> None:
    upstream = RecordingUpstream()
    async with serving(upstream) as url, gateway(f"http://127.0.0.1:{port}", url) as send:
        assert [(await send("POST", "/stock/item/create/1"))[0] for _ in range(4)] == [201] * 4
    assert len(upstream.seen) == 4


async def test_while_nobody_accepts_it_waits_and_then_succeeds(port: int) -> None:
    upstream = RecordingUpstream()
    async with gateway(f"http://127.0.0.1:{port}") as send:
        request = asyncio.create_task(send("POST", "/stock/item/create/1"))
        await asyncio.sleep(LIMIT_S / 4)
        assert not request.done()
        async with serving(upstream, port):
            assert (await request)[0] == 201
    assert len(upstream.seen) == 1


async def test_a_poll_that_fails_is_said_and_replaced(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    response: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: response.append(str(context["exception"])))
    look, upstream = Gateway._poll, RecordingUpstream()

    async def dies_once(one: Gateway, service: str) -> None:
        if not response:
            raise RuntimeError("killed")
        await look(one, service)

    monkeypatch.setattr(Gateway, "_poll", dies_once)
    async with gateway(f"http://127.0.0.1:{port}") as send:
        request = asyncio.create_task(send("POST", "/stock/item/create/1"))
        while not response:
            await asyncio.sleep(0.01)
        async with serving(upstream, port):
            assert (await request)[0] == 201
    assert response == ["killed"]


async def test_if_nobody_ever_accepts_nothing_happened(port: int) -> None:
    async with gateway(f"http://127.0.0.1:{port}") as send:
        started = time.monotonic()
        status, body = await send("POST", "/stock/item/create/1")
    assert status == 424
    assert "nothing happened" in body
    assert LIMIT_S / 2 < time.monotonic() - started < LIMIT_S * 3


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
async def test_what_broke_after_it_was_sent_is_sent_again_with_the_same_key(method: str) -> None:
    upstream = RecordingUpstream(breaks=2)
    async with serving(upstream) as url, gateway(url) as send:
        assert await send(method, "/stock/subtract/7/1") == (201, '{"turn": 3}')
        assert await send(method, "/stock/subtract/7/1") == (201, '{"turn": 4}')
    first, second, third, other = upstream.keys
    assert first == second == third != other
    assert first


async def test_a_request_whose_copies_all_break_is_unknown() -> None:
    upstream = RecordingUpstream(breaks=10_000)
    async with serving(upstream) as url, gateway(url) as send:
        status, body = await send("POST", "/stock/subtract/7/1")
    assert status == 502
    assert "unknown" in body
    assert 2 < len(upstream.seen) < 100


async def test_the_key_of_a_client_reaches_the_service() -> None:
    upstream = RecordingUpstream(breaks=1)
    async with serving(upstream) as url, gateway(url) as send:
        assert (await send("POST", "/stock/subtract/7/1", {KEY_HEADER: '"mine"'}))[0] == 201
        await send("GET", "/stock/find/7")
    assert upstream.keys == ['"mine"', '"mine"', ""]


async def test_after_a_lost_copy_a_rejection_of_another_one_alone_is_unknown() -> None:
    """A 424 means that this copy did nothing. The lost one may still have its effect."""

    async def reject(request: web.BaseRequest) -> web.Response:
        seen.append(request.raw_path)
        if len(seen) == 1:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"error": "no store"}, status=424, headers={FINAL_HEADER: "no"})

    seen: list[str] = []
    async with serving(reject) as url, gateway(url) as send:
        assert (await send("POST", "/stock/subtract/7/1"))[0] == 502
        assert (await send("POST", "/stock/subtract/7/1"))[0] == 424


async def test_a_read_that_broke_is_sent_again() -> None:
    upstream = RecordingUpstream(breaks=1)
    async with serving(upstream) as url, gateway(url) as send:
        assert (await send("GET", "/stock/find/7"))[0] == 201
    assert len(upstream.seen) == 2


async def test_a_worker_that_does_not_answer_in_time_leaves_it_unknown() -> None:
    upstream = RecordingUpstream(after_s=LIMIT_S * 2)
    async with serving(upstream) as url, gateway(url) as send:
        assert (await send("POST", "/stock/subtract/7/1"))[0] == 502
    assert len(upstream.seen) == 1


async def test_health_says_which_service_answers(port: int) -> None:
    async def healthy(request: web.BaseRequest) -> web.Response:
        return web.json_response({}, status=200 if request.path == "/health" else 404)

    async with serving(healthy) as url, gateway(f"http://127.0.0.1:{port}", url) as send:
        assert await send("GET", "/health") == (200, '{"ok":true,"services":{"stock":true}}')
    async with gateway(f"http://127.0.0.1:{port}") as send:
        assert await send("GET", "/health") == (200, '{"ok":false,"services":{"stock":false}}')


@pytest.mark.parametrize(
    "raw",
    [
        "/",
        "/stock",
        "/metrics",
        "/internal/txns",
        "/stock/internal/txns",
        "/stock/INTERNAL/txns",
        "/stock/%69nternal/txns",
        "/stock/x%2Finternal%2Ftxns",
        "/stock/../internal/txns",
        "/stock/%2e%2e/metrics",
        "/stock/./health",
        "//stock/find/7",
        "/%73tock/find/7",
        "http://127.0.0.1/stock/find/7",
        "/health/",
        "/cart/find/7",
    ],
)
def test_what_is_not_the_shops_is_nobodys(raw: str) -> None:
    assert service_of(raw) is None


@pytest.mark.parametrize(
    ("raw", "service"),
    [
        ("/orders/find/7", "order"),
        ("/stock/find/7?a=b", "stock"),
        ("/payment/pay/7/1", "payment"),
        ("/stock/", "stock"),
    ],
)
def test_prefixes(raw: str, service: str) -> None:
    assert service_of(raw) == service


async def test_internal_paths_reach_no_worker() -> None:
    upstream = RecordingUpstream()
    async with serving(upstream) as url, gateway(url) as send:
        for path in ("/internal/txns", "/stock/internal/txns", "/metrics", "/orders/find/1/internal"):
            assert (await send("GET", path))[0] == 404
    assert upstream.seen == []
