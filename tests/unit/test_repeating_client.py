"""Clients that send a request again whose connection broke, with its key: over HTTP, and in the simulator."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from harness.runtimes.sim.simulation import Simulation
from harness.workload.client import Response, ShopClient
from harness.workload.repeating_client import RepeatingClient
from protocols.shop.idempotency_key import KEY_HEADER
from tests.sim.conftest import simulate

BREAK = 0


class ScriptedShop:
    """A shop that answers one request after the other with these statuses; `BREAK` breaks the connection."""

    def __init__(self, *statuses: int) -> None:
        self._left = list(statuses)
        self.keys: list[str] = []

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.keys.append(request.headers.get(KEY_HEADER, ""))
        status = self._left.pop(0) if len(self._left) > 1 else self._left[0]
        if status == BREAK:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"error": "refused"}, status=status)


@asynccontextmanager
async def shop(script: ScriptedShop) -> AsyncIterator[str]:
    runner = web.ServerRunner(web.Server(script), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def answer(script: ScriptedShop, limit_s: float = 5.0) -> Response:
    async with shop(script) as url, RepeatingClient(url, limit_s) as client:
        return await client.call("checkout", "o")


async def test_a_broken_request_is_sent_again_with_its_key() -> None:
    script = ScriptedShop(BREAK, BREAK, 200)
    assert (await answer(script)).outcome == "ok"
    assert len(script.keys) == 3
    assert len(set(script.keys)) == 1
    assert script.keys[0]


async def test_each_request_has_a_key_of_its_own() -> None:
    script = ScriptedShop(200)
    async with shop(script) as url, RepeatingClient(url) as client:
        await client.call("checkout", "o")
        await client.call("checkout", "o")
        await client.call("find_order", "o")
    assert script.keys[2] == ""
    assert len(set(script.keys)) == 3


async def test_nothing_happened_to_one_copy_is_no_answer_after_another_copy_was_lost() -> None:
    assert (await answer(ScriptedShop(424))).status == 424
    assert (await answer(ScriptedShop(BREAK, 424, 424, 409))).status == 409


async def test_a_request_that_no_gateway_accepts_ends_at_the_time_limit() -> None:
    async with shop(ScriptedShop(200)) as url:
        pass
    async with RepeatingClient(url, 0.2) as client:
        assert await client.call("checkout", "o") == Response("unknown", 0, "TimeoutError")


async def test_a_client_without_repetition_sends_a_checkout_once_and_without_a_key() -> None:
    script = ScriptedShop(BREAK, 200)
    async with shop(script) as url, ShopClient(url) as client:
        assert (await client.call("checkout", "o")).outcome == "unknown"
    assert script.keys == [""]


@pytest.mark.parametrize(("repeats", "outcome"), [(True, "ok"), (False, "unknown")])
def test_the_death_of_the_gateway_fails_a_request_of_a_client_that_does_not_repeat(repeats: bool, outcome: str) -> None:
    outcomes = []

    async def play(shop: Simulation) -> None:
        async with shop.client(8, repeats) as client:
            user = (await client.call("create_user")).value
            shop.pause("payment-1")
            under_way = asyncio.ensure_future(client.call("add_funds", user, 5))
            await asyncio.sleep(0.2)
            shop.kill("gateway")
            shop.resume("payment-1")
            outcomes.append((await under_way).outcome)
            while next(node.state for node in shop.nodes() if node.name == "gateway") != "running":
                await asyncio.sleep(0.1)
            assert (await client.call("find_user", user)).value["credit"] == 5

    simulate(play)
    assert outcomes == [outcome]


async def test_requests_take_turns_at_the_addresses() -> None:
    one, two = ScriptedShop(200), ScriptedShop(200)
    async with shop(one) as first, shop(two) as second, RepeatingClient(first, 5.0, [second]) as client:
        for _ in range(6):
            await client.call("checkout", "o")
    assert len(one.keys) == len(two.keys) == 3


async def test_a_broken_request_goes_to_the_next_address() -> None:
    broken, other = ScriptedShop(BREAK), ScriptedShop(200)
    async with shop(broken) as first, shop(other) as second, RepeatingClient(first, 5.0, [second]) as client:
        answers = [await client.call("checkout", "o") for _ in range(6)]
    assert {response.outcome for response in answers} == {"ok"}
    assert len(other.keys) == len(set(other.keys)) == 6
    assert set(broken.keys) <= set(other.keys)


async def test_an_address_that_refuses_connections_costs_no_request() -> None:
    script = ScriptedShop(200)
    async with shop(ScriptedShop(200)) as gone:
        pass
    async with shop(script) as url, RepeatingClient(gone, 5.0, [url]) as client:
        assert {(await client.call("checkout", "o")).outcome for _ in range(4)} == {"ok"}
    assert len(script.keys) == 4
