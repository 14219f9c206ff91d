"""In the simulator too a message that is of no use ends among the dead letters, and whoever else comes is served."""

import asyncio
from random import Random

import pytest

from harness import faults
from harness.errors import EnvironmentFailure
from harness.runtimes.sim.simulation import Simulation
from protocols.service.links import poison
from protocols.two_phase.machine import Prepare
from tests.sim.conftest import examined, simulate
from tests.sim.test_simulation import balances, stocked

MANY = 200


@pytest.mark.parametrize("protocol", ["2pc", "saga"])
def test_what_is_planted_is_buried_and_a_checkout_goes_on(protocol: str) -> None:
    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            bought = await stocked(client)
            planted = [name for number in range(MANY) for name in await shop.inject_poison("stock", f"{number:03}")]
            assert len(planted) == 2 * MANY
            assert (await client.call("checkout", bought[2])).outcome == "ok"
            assert await balances(client, *bought) == (8, 8, True)
            assert sorted(map(poison.injected_name, await shop.dead_letters()), key=str) == sorted(
                f"stock {one}" for one in planted
            )

    simulate(play, protocol=protocol, transport="streams")


def test_the_fault_says_by_which_names_its_messages_are_found() -> None:
    async def play(shop: Simulation) -> None:
        fault = faults.fault("poison", ("stock", "order"))
        assert faults.refuse(shop, fault) is None
        begun, said = await faults.start(shop, fault, Random(4))
        await asyncio.sleep(1.0)
        found = {poison.injected_name(letter) for letter in await shop.dead_letters()}
        unreadable, refused = said.split()
        assert found == {f"stock {unreadable}", f"stock {refused}", f"order {unreadable}"}
        await faults.end(shop, begun)

    simulate(play, transport="streams")


@pytest.mark.parametrize("protocol", ["2pc", "saga", "lua"])
def test_the_scenario_of_poison_holds(protocol: str) -> None:
    done = examined("poison", protocol, transport="streams")
    assert (done.judgement.verdict, sorted(done.names)) == ("holds", [])
    (letters,) = (one.finding for one in done.judgement.results if one.checker == "dead-letters")
    assert letters.figures["planted"] >= 5
    assert letters.figures["others"] == 0


@pytest.mark.parametrize("transport", ["http", "streams"])
def test_a_message_that_the_store_refuses_and_nobody_planted_is_a_defect(transport: str) -> None:
    async def play(shop: Simulation) -> None:
        (stock,) = shop._processes["stock"]
        stock.receive(Prepare("no sequence number", "order", "stock/0", 1, (0, 0), ()), "order-1")
        await asyncio.sleep(1.0)
        assert stock.runs.driver.live == 0

    with pytest.raises(EnvironmentFailure, match="no sequence number"):
        simulate(play, transport=transport)
