"""Wrong clocks of a node that never returns, or during a wait: its locks are free after the patience."""

import asyncio
from typing import Any

import pytest

from harness.runtimes.sim.simulation import Simulation
from protocols.core import Command
from protocols.service.faults import Faults
from tests.sim.conftest import simulate
from tests.sim.test_simulation import balances, stocked

HOUR_MS = 3_600_000
LIMIT_S = 4.0
PATIENCE_S = LIMIT_S + 2.0
LOCKS = ("wait-die", "no-wait", "wound-wait", "escrow")
DECISION = {"2pc": "order:before-persist:commit", "saga": "order:before-persist:confirm"}
CASES = [*(("2pc", {"locks": locks}) for locks in LOCKS), ("saga", {})]


async def until_it_dies(shop: Simulation, client: Any, bought: tuple[str, str, str]) -> None:
    """Check orders of the item out until order-1 has received one and is dead."""
    node = shop._machine("order-1")
    for _ in range(9):
        order = (await client.call("create_order", bought[1])).value
        assert (await client.call("add_item", order, bought[0], 1)).outcome == "ok"
        response = await client.call("checkout", order)
        if node.state == "down":
            assert response.outcome in {"unknown", "ok"}, "order-2 has received a copy of the request"
            return
    pytest.fail("order-1 received no checkout")


@pytest.mark.parametrize("ahead_ms", [HOUR_MS, 10_000, -HOUR_MS])
@pytest.mark.parametrize(("protocol", "options"), CASES)
def test_a_coordinator_with_a_wrong_clock_that_never_comes_back(
    protocol: str, options: dict[str, str], ahead_ms: int
) -> None:
    async def play(shop: Simulation) -> None:
        async with shop.client(2 * PATIENCE_S) as client:
            bought = await stocked(client)
            wrong = Faults(skew_ms=ahead_ms, crash_at={DECISION[protocol]: 1})
            await shop.disturb("test", ["order-1"], wrong)
            await until_it_dies(shop, client, bought)
            await asyncio.sleep(PATIENCE_S + 2)
            assert await shop.unfinished() == []
            stock = (await balances(client, *bought))[0]
            assert (await client.call("checkout", bought[2])).outcome == "ok"
            assert (await balances(client, *bought))[0] == stock - 1

    simulate(play, protocol=protocol, options=options, workers=2, respawn_after_s=0.0, time_limit_s=LIMIT_S)


@pytest.mark.parametrize("jump_ms", [HOUR_MS, -HOUR_MS])
@pytest.mark.parametrize(("protocol", "options"), CASES)
def test_a_clock_that_jumps_while_a_transaction_waits(protocol: str, options: dict[str, str], jump_ms: int) -> None:
    """The time limit counts from the client's request: it ends neither at once nor an hour later, in every attempt."""

    async def play(shop: Simulation) -> None:
        async with shop.client(3 * LIMIT_S) as client:
            bought = await stocked(client)
            second = (await client.call("create_order", bought[1])).value
            assert (await client.call("add_item", second, bought[0], 1)).outcome == "ok"
            shop.kill("payment-store", stay_down=True)
            requests = [("checkout", bought[2]), ("checkout", second), ("find_item", bought[0])]
            if protocol == "saga" or jump_ms > 0:
                del requests[2]  # a saga locks nothing; and a transaction that seems old after a jump ahead is aborted
            waiting = [asyncio.ensure_future(client.call(*one)) for one in requests[:1]]
            await asyncio.sleep(0.3)
            waiting += [asyncio.ensure_future(client.call(*one)) for one in requests[1:]]
            await asyncio.sleep(0.2)
            await shop.disturb("jump", ["order-1", "stock-1"], Faults(skew_ms=jump_ms))
            await asyncio.sleep(LIMIT_S / 2)
            assert [one.done() for one in waiting] == [False] * len(requests)
            await asyncio.sleep(LIMIT_S)
            assert [one.done() for one in waiting] == [True] * len(requests)
            await shop.undisturb("jump")
            shop.revive("payment-store")
            await asyncio.sleep(PATIENCE_S)
            assert await shop.unfinished() == []
            assert (await client.call("checkout", bought[2])).outcome == "ok"

    simulate(play, protocol=protocol, options=options, time_limit_s=LIMIT_S)


def test_an_age_of_another_clock_decides_the_order_and_not_the_duration_of_waits() -> None:
    """A lock of a branch from the far future or past is free as soon as its transaction has ended."""

    async def play(shop: Simulation) -> None:
        twin, now = shop._stores["stock"].servers[0].twin, shop.world.now_us() // 1000
        async with shop.client(2 * PATIENCE_S) as client:
            for age in (1, 10 * now * 1000):
                bought = await stocked(client)
                changes = ((f"item:{bought[0]}", -1),)
                prepare = (f"gone.{age}", "order", "stock/0", age, (0, 0), changes, "order-1")
                twin.run(Command("prepare", prepare), now + HOUR_MS)
                assert (await client.call("checkout", bought[2])).outcome == "ok"

    for locks in LOCKS:
        simulate(play, options={"locks": locks}, time_limit_s=LIMIT_S)
