"""Every field of every answer of a real shop has a judge, and every judge catches an edit of its field."""

import re
from pathlib import Path
from typing import Any

import pytest

from harness.checkers import judge
from harness.runtimes.sim.client import SimClient, _Target
from harness.runtimes.sim.simulation import Simulation
from protocols.shop.routes import ROUTES, Route
from protocols.shop.services import PREFIXES
from tests.checkers.benign import UNDECIDED
from tests.checkers.fields import ABOUT, FIELDS, STATUS, By, ByTest
from tests.checkers.violations import VIOLATIONS
from tests.sim.conftest import simulate

ROOT = Path(__file__).parents[2]
JUDGES = [*FIELDS.values(), *ABOUT.values()]


def name_of(route: Route) -> str:
    return f"{route.method} {PREFIXES[route.service]}{route.path}"


def answers(**options: Any) -> tuple[set[tuple[str, str]], set[str]]:
    """(route, field) of each success, and the fields of each refusal, as a simulated shop answers every route of the contract."""
    succeeded: set[tuple[str, str]] = set()
    refused: set[str] = set()

    async def play(shop: Simulation) -> None:
        async with shop.client(20.0) as client:
            assert isinstance(client, SimClient)
            user, item = (await client.call("create_user")).value, (await client.call("create_item", 1)).value
            await client.call("add_funds", user, 100)
            await client.call("add_stock", item, 100)
            order, unpaid = [(await client.call("create_order", user)).value for _ in range(2)]
            await client.call("add_item", unpaid, item, 1)
            ids = {"user": user, "item": item, "order": order}
            for known in (ids, dict.fromkeys(ids, "nobody"), ids):
                for route in sorted(ROUTES, key=lambda each: (each.method == "DELETE", -len(each.path))):
                    if route.method == "DELETE" and known is ids:
                        known = {**ids, "order": unpaid}  # noqa: PLW2901 - nothing is taken out of a paid one
                    parameters = re.findall(r"\{(\w+)\}", route.path)
                    given = {name: known.get(name, "1") for name in parameters}
                    target = _Target(route.service, route.handler, tuple(parameters), repeatable=False)
                    status, body = await client._through(target, tuple(given.values()))
                    fields = list(body) if isinstance(body, dict) else []
                    if status < 300:
                        succeeded.update((name_of(route), field) for field in fields or [STATUS])
                    elif isinstance(body, dict):
                        refused.update(fields)

    simulate(play, **options)
    return succeeded, refused


def test_every_field_that_a_shop_answers_has_a_row_and_every_row_its_field() -> None:
    succeeded, refused = answers(protocol="2pc")
    accepted, also = answers(protocol="saga", options={"reply": "accepted"})
    found = succeeded | accepted
    assert {name_of(route) for route in ROUTES} == {route for route, _ in FIELDS}
    assert {route for route, _ in found} == {name_of(route) for route in ROUTES}, "a route that never succeeded"
    assert found - set(FIELDS) == set()
    assert {row for row in FIELDS if row[1] != STATUS} - found == set()
    assert refused | also == set(ABOUT)


@pytest.mark.parametrize(
    "by", [pytest.param(each, id=each.edit) for each in dict.fromkeys(JUDGES) if isinstance(each, By)]
)
def test_its_checker_catches_an_edit_of_the_field(by: By) -> None:
    edit = VIOLATIONS[by.edit].edit if by.edit in VIOLATIONS else UNDECIDED[by.edit]
    result = next(each for each in judge(edit().history()).results if each.checker == by.checker)
    assert result.standing in {"claimed-and-violated", "unknown"}


@pytest.mark.parametrize("place", sorted({each.place for each in JUDGES if isinstance(each, ByTest)}))
def test_the_test_that_judges_it_is_there(place: str) -> None:
    file, _, name = place.partition("::")
    assert f"async def {name}(" in (ROOT / file).read_text("utf-8")
