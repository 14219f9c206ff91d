"""The memory of fences is bounded by the instances, not by the kills: also the fences of killed lives are collected."""

import asyncio
from typing import Any

import pytest

from harness.runtimes.sim.simulation import Simulation
from protocols.registry import load
from tests.sim.conftest import simulate

KILLS, FEW_KILLS = 30, 10
PAUSE_S = 0.05
STOCKED = 10_000
LAST = 8  # checkouts one after the other at the end, so that each instance announces its ended transactions
LOCKS = next(option.choices for option in load("2pc").options if option.name == "locks")
SHOPS = [*(("2pc", {"locks": locks}) for locks in LOCKS), ("saga", {})]
MANY = [
    pytest.param(*shop, workers, KILLS, marks=pytest.mark.slow, id=f"{shop[0]}-{shop[1]}-{workers}")
    for shop in SHOPS
    for workers in (1, 2)
]
FEW = [
    pytest.param(*shop, workers, FEW_KILLS, id=f"{shop[0]}-{shop[1]}-{workers}-few")
    for shop, workers in ((SHOPS[0], 2), (("2pc", {"locks": "escrow"}), 1), (("saga", {}), 2))
]


async def buys(client: Any, item: str, user: str) -> Any:
    placed = (await client.call("create_order", user)).value
    if placed is not None and (await client.call("add_item", placed, item, 1)).outcome == "ok":
        return await client.call("checkout", placed)
    return None


async def killed_under_load(shop: Simulation, client: Any, item: str, users: list[str], kills: int) -> None:
    """Kill the instances of the coordinator in turn, so often, under a load of checkouts."""
    victims = shop._processes["order"]

    async def keeps_buying(user: str) -> None:
        while not over.is_set():
            await buys(client, item, user)
            await asyncio.sleep(PAUSE_S)

    over = asyncio.Event()
    clients = [asyncio.ensure_future(keeps_buying(user)) for user in users]
    for number in range(kills):
        victim = victims[number % len(victims)]
        life = victim.life
        await asyncio.sleep(3 * PAUSE_S)
        shop.kill(victim.name)
        async with asyncio.timeout(30):
            while victim.life == life or victim.state != "running":
                await asyncio.sleep(0.05)
    over.set()
    await asyncio.gather(*clients)


def remembered(tables: dict[str, dict[str, Any]]) -> dict[str, int]:
    """Return the numbers of horizons, lives and fences."""
    named = {
        name: sum(len(table) for key, table in tables.items() if key.startswith(name)) for name in ("fence:", "lives:")
    }
    return {"horizon": len(tables.get("horizon", {})), **named}


@pytest.mark.parametrize(("protocol", "options", "workers", "kills"), [*FEW, *MANY])
def test_a_participant_remembers_instances_and_not_lives(
    protocol: str, options: dict[str, str], workers: int, kills: int
) -> None:
    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            item = (await client.call("create_item", 1)).value
            assert (await client.call("add_stock", item, STOCKED)).outcome == "ok"
            users = [(await client.call("create_user")).value for _ in range(3)]
            for user in users:
                assert (await client.call("add_funds", user, STOCKED)).outcome == "ok"
            await killed_under_load(shop, client, item, users, kills)
            async with asyncio.timeout(60):
                while await shop.unfinished():
                    await asyncio.sleep(0.25)
            await asyncio.sleep(0.5)  # virtual: every instance has read its store since
            for _ in range(LAST):
                bought = await buys(client, item, users[0])
                assert bought.outcome == "ok", bought.value
        lives = sum(process.life for process in shop._processes["order"])
        assert lives >= kills
        for service in ("stock", "payment"):
            kept = remembered(shop._stores[service].servers[0].twin.tables)
            assert kept["horizon"] <= workers
            assert kept["lives:"] <= workers
            assert kept["fence:"] <= LAST

    simulate(play, protocol=protocol, options=options, workers=workers, respawn_after_s=0.05)
