"""A store that may have lost its last writes, with `--short-log block`: what is in doubt stays so, and new checkouts go on."""

import asyncio

import pytest

from harness.run import in_memory, scenarios
from harness.run.plan import Plan, simulated
from harness.runtimes.sim.simulation import Simulation
from protocols.service.faults import Faults
from tests.sim.conftest import simulate
from tests.sim.test_simulation import stocked


def seen(done: in_memory.InMemoryRun) -> set[str]:
    """Return the names of all anomalies, claimed or not."""
    return {anomaly.name for result in done.judgement.results for anomaly in (*result.violated, *result.allowed)}


def power_cut(short_log: str) -> in_memory.InMemoryRun:
    scenario = simulated(scenarios.load("power-cut"))
    return in_memory.run(Plan(scenario, "2pc", 2, runtime="sim", options={"short-log": short_log}))


def test_after_a_power_cut_the_locks_of_what_may_have_been_decided_stay_and_the_verdict_says_so() -> None:
    left = {"left-in-doubt", "lock-left"}
    presumed, blocked = power_cut("presume"), power_cut("block")
    assert (left & seen(presumed), presumed.judgement.verdict) == (set(), "holds")
    assert (left & seen(blocked), blocked.judgement.verdict) == (left, "unknown")


@pytest.mark.parametrize(("short_log", "in_doubt"), [("presume", False), ("block", True)])
def test_an_inquiry_after_a_lost_end_of_the_log_is_not_answered_with_abort(short_log: str, in_doubt: bool) -> None:
    """The order store dies between the votes and COMMIT. Both participants are in doubt, and its log may be short."""

    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            bought = await stocked(client)
            before = await stocked(client)
            await shop.disturb("crash", ("order-1",), Faults(crash_at={"order:before-persist:commit": 1}))
            checkout = asyncio.ensure_future(client.call("checkout", bought[2]))
            await asyncio.sleep(0.2)
            assert [node.name for node in shop.nodes() if node.state == "down"] == ["order-1"]
            shop.kill("order-store")
            await asyncio.sleep(5)
            states = {row["state"] for row in await shop.unfinished()}
            assert states == ({"open", "prepared"} if in_doubt else set())
            assert (await client.call("checkout", before[2])).outcome == "ok", "others go on"
            await asyncio.wait([checkout])

    simulate(play, options={"short-log": short_log})


def test_a_process_that_lives_on_has_a_new_life_in_a_new_generation_of_its_store() -> None:
    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            ids = shop._processes["order"][0].runs._ids
            life = ids.life
            shop.kill("order-store")
            await asyncio.sleep(2)
            assert (ids.life > life, ids.newest_life) == (True, ids.life)
            bought = await stocked(client)
            assert (await client.call("checkout", bought[2])).outcome == "ok"

    simulate(play, options={"short-log": "block"})
