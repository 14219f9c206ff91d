"""The simulator's gateway answers what the real ones answer: the rows of the contract that are about methods and paths."""

from harness.runtimes.sim.simulation import Simulation
from tests.contract.requests import ROWS
from tests.sim.conftest import simulate


def test_every_row_about_a_path_is_answered_with_its_status() -> None:
    rows = [row for row in ROWS if row.simulated]
    assert len(rows) > 60
    wrong = {}

    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            item = (await client.call("create_item", 1)).value
            order = (await client.call("create_order", "u")).value
            for row in rows:
                method, raw, _ = row.request.decode().split(" ", 2)
                status = await client.status_of(method, raw.replace("{item}", item).replace("{order}", order))
                if status != row.status:
                    wrong[row.name] = (status, "instead of", row.status)

    simulate(play)
    assert not wrong


def test_the_courses_statuses_are_those_of_the_simulator_as_well() -> None:
    heard = {}

    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            for call in (("find_item", "nothing"), ("checkout", "nothing"), ("add_stock", "nothing", 1)):
                heard[call[0]] = (await client.call(*call)).status

    simulate(play, statuses="course")
    assert set(heard.values()) == {400}
