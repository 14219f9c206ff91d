"""Every message that services sent each other is sent again, long after its transaction has ended: nothing happens."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from harness.runtimes.sim.process import Process
from harness.runtimes.sim.simulation import Simulation
from protocols.registry import load
from tests.sim.conftest import simulate
from tests.sim.test_set_anew import SHOPS, rests

TIME_LIMIT_S = 3.0
Message = tuple[str, str, Any]
"""Who received it, who sent it, and what it was."""


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    found: list[Message] = []
    hear = Process.receive

    def listen(process: Process, message: Any, sender: str, handled: Callable[[], None] | None = None) -> None:
        found.append((process.name, sender, message))
        hear(process, message, sender, handled)

    monkeypatch.setattr(Process, "receive", listen)
    return found


async def _need(client: Any, operation: str, *arguments: Any) -> Any:
    answer = await client.call(operation, *arguments)
    assert answer.outcome == "ok", (operation, arguments, answer)
    return answer.value


async def everything_happens(shop: Simulation, client: Any) -> None:
    """A checkout that succeeds, two that are rejected by one of the two others, and three that want the same item."""
    await _need(client, "init_items", 3, 20, 1)
    await _need(client, "init_users", 3, 10)
    for user, item, quantity in ((0, 0, 2), (1, 1, 11), (2, 2, 30)):
        order = await _need(client, "create_order", user)
        await _need(client, "add_item", order, item, quantity)
        answer = await client.call("checkout", order)
        assert (answer.outcome == "ok") == (quantity == 2)
    rivals = [await _need(client, "create_order", user) for user in (0, 0, 2)]
    for order in rivals:
        await _need(client, "add_item", order, 0, 3)
    shop.pause("payment-1")
    checkouts = [asyncio.ensure_future(client.call("checkout", order)) for order in rivals]
    await asyncio.sleep(1)
    shop.resume("payment-1")
    await asyncio.gather(*checkouts)
    await rests(shop)


async def state(client: Any) -> list[Any]:
    return [
        *[await _need(client, "find_item", item) for item in range(3)],
        *[await _need(client, "find_user", user) for user in range(3)],
    ]


async def again(shop: Simulation, messages: list[Message]) -> None:
    """Every message, as it was, to every instance of the service that it was for."""
    for name, sender, message in messages:
        for process in shop._processes[name.rpartition("-")[0]]:
            process.receive(message, sender)
            await asyncio.sleep(0.001)
    await asyncio.sleep(TIME_LIMIT_S)
    await rests(shop)


def replayed(protocol: str, options: dict[str, str], heard: list[Message], *ablate: str) -> None:
    """One second later, a minute later, and after every node has been started again."""

    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            await everything_happens(shop, client)
            was, messages = await state(client), list(heard)
            for pause_s in (1, 60):
                await asyncio.sleep(pause_s)
                await again(shop, messages)
                assert await state(client) == was
            for node in shop.nodes():
                await shop.restart(node.name)
            await again(shop, messages)
            assert await state(client) == was

    simulate(play, protocol=protocol, options=options, workers=2, time_limit_s=TIME_LIMIT_S, ablate=ablate)


@pytest.mark.parametrize(("protocol", "options"), SHOPS, ids=str)
def test_a_message_that_comes_again_has_no_effect_soon_later_or_after_a_restart(
    protocol: str, options: dict[str, str], heard: list[Message]
) -> None:
    replayed(protocol, options, heard)
    missing = {*load(protocol).messages} - {type(message) for _, _, message in heard}
    assert {kind.__name__ for kind in missing} <= {"Wound"}, "every kind is sent here, but the one of wound-wait alone"


@pytest.mark.parametrize(
    ("protocol", "ablated"), [("2pc", "refuse-stale"), ("2pc", "replay-verdict"), ("saga", "refuse-stale")]
)
def test_without_the_safeguard_it_takes_effect_again(protocol: str, ablated: str, heard: list[Message]) -> None:
    with pytest.raises((AssertionError, TimeoutError)):
        replayed(protocol, {}, heard, ablated)
