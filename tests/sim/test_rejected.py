"""A message that no service can process becomes a dead letter in the simulator too, and other requests are served."""

import asyncio
from random import Random

import pytest

from harness import faults
from harness.errors import EnvironmentFailure
from harness.runtimes.sim.simulation import Simulation
from protocols.service.links import poison
from protocols.two_phase.messages import Prepare
from tests.sim.conftest import examined, simulate
from tests.sim.test_simulation import balances, stocked

MANY = 200


@pytest.mark.parametrize("protocol", ["2pc", "saga"])
def test_an_injected_message_becomes_a_dead_letter_and_checkouts_continue(protocol: str) -> None:
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


def test_the_fault_reports_the_names_of_its_messages() -> None:
    async def play(shop: Simulation) -> None:
        fault = faults.fault("poison", ("stock", "order"))
        assert faults.refuse(shop, fault) is None
        begun, report = await faults.start(shop, fault, Random(4))
        await asyncio.sleep(1.0)
        names = {poison.injected_name(letter) for letter in await shop.dead_letters()}
        unreadable, refused = report.split()
        assert names == {f"stock {unreadable}", f"stock {refused}", f"order {unreadable}"}
        await faults.end(shop, begun)

    simulate(play, transport="streams")


@pytest.mark.parametrize("protocol", ["2pc", "saga", "lua"])
def test_the_scenario_of_poison_holds(protocol: str) -> None:
    done = examined("poison", protocol, transport="streams")
    assert (done.judgement.verdict, sorted(done.names)) == ("holds", [])
    (finding,) = (one.finding for one in done.judgement.results if one.checker == "dead-letters")
    assert finding.figures["planted"] >= 5
    assert finding.figures["others"] == 0


@pytest.mark.parametrize("transport", ["http", "streams"])
def test_a_rejected_message_that_no_fault_injected_is_a_defect(transport: str) -> None:
    async def play(shop: Simulation) -> None:
        (stock,) = shop._processes["stock"]
        stock.receive(Prepare("no sequence number", "order", "stock/0", 1, (0, 0), ()), "order-1")
        await asyncio.sleep(1.0)
        assert stock.runs.driver.live == 0

    with pytest.raises(EnvironmentFailure, match="no sequence number"):
        simulate(play, transport=transport)
