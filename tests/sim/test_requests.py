"""The simulator's gateway returns the answers of the real ones, for the rows of the contract about methods and paths."""

import asyncio

import pytest

from harness.runtimes.sim.simulation import Simulation
from harness.workload.client import Response
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
    responses = {}

    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            for call in (("find_item", "nothing"), ("checkout", "nothing"), ("add_stock", "nothing", 1)):
                responses[call[0]] = (await client.call(*call)).status

    simulate(play, statuses="course")
    assert set(responses.values()) == {400}


@pytest.mark.parametrize(("statuses", "nothing_happened"), [("exact", 424), ("course", 400)])
def test_a_request_that_reached_no_instance_did_not_happen(statuses: str, nothing_happened: int) -> None:
    responses: list[Response] = []

    async def play(shop: Simulation) -> None:
        async with shop.client(5) as client:
            user = (await client.call("create_user")).value
            shop.kill("payment-1", stay_down=True)
            while next(node.state for node in shop.nodes() if node.name == "payment-1") != "down":
                await asyncio.sleep(0.1)  # a kill waits for a failpoint
            responses.extend([await client.call("add_funds", user, 1), await client.call("find_user", user)])

    simulate(play, statuses=statuses)
    assert [(one.status, one.outcome) for one in responses] == [(nothing_happened, "fail")] * 2
    assert all("accepts no connection: nothing happened" in str(one.value) for one in responses)


def test_a_request_that_was_sent_and_lost_is_unknown() -> None:
    responses: list[Response] = []

    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            user = (await client.call("create_user")).value
            shop.pause("payment-store")
            waiting = asyncio.create_task(client.call("add_funds", user, 1))
            await asyncio.sleep(1.0)  # it was sent, and waits for the store
            assert not waiting.done()
            shop.kill("payment-1", stay_down=True)
            responses.append(await waiting)
            shop.resume("payment-store")

    simulate(play)
    assert [(one.status, one.outcome) for one in responses] == [(502, "unknown")]


def test_a_rejected_checkout_waits_for_that_of_another_instance() -> None:
    """Found by `rolling-restart`: a rejection that met another undecided transaction of its order was answered 503 at once."""
    statuses: set[int] = set()

    async def play(shop: Simulation) -> None:
        async with shop.client(15) as client:
            user = (await client.call("create_user")).value
            item = (await client.call("create_item", 1)).value
            order = (await client.call("create_order", user)).value
            await client.call("add_item", order, item, 1)  # there is neither stock nor credit
            for _ in range(20):
                checkouts = [client.call("checkout", order) for _ in range(4)]
                statuses.update([response.status for response in await asyncio.gather(*checkouts)])

    simulate(play, protocol="saga", workers=2)
    assert statuses == {409}
