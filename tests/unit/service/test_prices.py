"""A price of the stock service is checked before it is used."""

from random import Random
from typing import Any

import pytest

from protocols.core import Command, Config
from protocols.ports import LoopClock
from protocols.shop import ledger_orders, orders
from protocols.shop.request_context import Answer, RequestContext
from protocols.store.tables import Result, Tables


class Ledger:
    """A store with only the commands of orders."""

    def __init__(self) -> None:
        self.tables: Tables = {}

    async def call(self, command: Command) -> Result:
        result: Result = ledger_orders.COMMANDS[command.name](self.tables, Config(), 0, *command.args)
        return result

    once = call


async def added(body: Any) -> tuple[Answer, Result]:
    """Return the answer to an addItem, given this answer of the stock service, and the order after it."""
    store = Ledger()

    async def query(_service: str, _path: str) -> Answer:
        return Answer(200, body)

    context = RequestContext(store, LoopClock(), Random(1), 1_000, query)  # type: ignore[arg-type]
    await store.call(Command("create_order", ("o", "u")))
    answer = await orders.add_item(context, "o", "i", "2")
    return answer, await store.call(Command("find_order", ("o",)))


@pytest.mark.parametrize("price", [-1, 2**53 + 1, True, "7", None, 1.0, [3]])
@pytest.mark.asyncio
async def test_a_price_that_is_none_is_refused_and_named(price: Any) -> None:
    answer, order = await added({"price": price, "stock": 1})
    assert (answer.status, repr(price) in str(answer.body)) == (424, True)
    assert order == ("found", "u", 0, 0, ())


@pytest.mark.asyncio
async def test_a_price_is_kept_with_the_line() -> None:
    answer, order = await added({"price": 7, "stock": 1})
    assert (answer.status, order) == (200, ("found", "u", 0, 14, (("i", 2),)))


@pytest.mark.parametrize("body", ["7", {}, {"stock": 1}])
@pytest.mark.asyncio
async def test_an_answer_without_a_price_is_none(body: Any) -> None:
    answer, order = await added(body)
    assert (answer.status, order) == (424, ("found", "u", 0, 0, ()))
