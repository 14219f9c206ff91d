"""Every message between services is sent again long after the end of its transaction, without an effect."""

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
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    messages: list[Message] = []
    receive = Process.receive

    def listen(process: Process, message: Any, sender: str, handled: Callable[[], None] | None = None) -> None:
        messages.append((process.name, sender, message))
        receive(process, message, sender, handled)

    monkeypatch.setattr(Process, "receive", listen)
    return messages


async def _need(client: Any, operation: str, *arguments: Any) -> Any:
    answer = await client.call(operation, *arguments)
    assert answer.outcome == "ok", (operation, arguments, answer)
    return answer.value


async def everything_happens(shop: Simulation, client: Any) -> None:
    """Make a checkout that succeeds, one that each participant rejects, and three for the same item."""
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
    """Send every message unchanged to every instance of its service."""
    for name, sender, message in messages:
        for process in shop._processes[name.rpartition("-")[0]]:
            process.receive(message, sender)
            await asyncio.sleep(0.001)
    await asyncio.sleep(TIME_LIMIT_S)
    await rests(shop)


def replayed(protocol: str, options: dict[str, str], recorded: list[Message], *ablate: str) -> None:
    """Send the messages again after a second, after a minute, and after a restart of every node."""

    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            await everything_happens(shop, client)
            was, messages = await state(client), list(recorded)
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
def test_a_repeated_message_has_no_effect_soon_later_or_after_a_restart(
    protocol: str, options: dict[str, str], recorded: list[Message]
) -> None:
    replayed(protocol, options, recorded)
    missing = {*load(protocol).messages} - {type(message) for _, _, message in recorded}
    assert {kind.__name__ for kind in missing} <= {"Wound"}, "every kind is sent here, but the one of wound-wait alone"


@pytest.mark.parametrize(
    ("protocol", "ablated"), [("2pc", "refuse-stale"), ("2pc", "replay-verdict"), ("saga", "refuse-stale")]
)
def test_a_repeated_message_has_an_effect_without_the_safeguard(
    protocol: str, ablated: str, recorded: list[Message]
) -> None:
    with pytest.raises((AssertionError, TimeoutError)):
        replayed(protocol, {}, recorded, ablated)
