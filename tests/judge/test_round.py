"""The end of a round, with a shop in memory: its late effects, and faults that wait for it."""

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from harness import faults
from harness.history import Event, Operation
from harness.judge.examination import Examination, Limits
from harness.judge.parts.base import judged
from harness.judge.parts.load import Load
from harness.judge.round import Round, conduct
from harness.judge.settling import SETTLED
from harness.judge.shop import ExaminedShop
from harness.judge.workloads import CourseSale
from harness.runtimes.base import Breakable
from harness.runtimes.external.runtime import ExternalRuntime
from harness.workload.base import Call
from harness.workload.checkout import Checkout
from harness.workload.client import Response, interpret
from tests.chaos.fakes import Answer, FakeShop, Model

URL = "http://shop.example"


class Client:
    """A client of a function from calls to answers."""

    def __init__(self, answer: Callable[[Call], Answer]) -> None:
        self._answer = answer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _e: object, _t: TracebackType | None) -> None:
        return None

    async def call(self, operation: str, *args: Any) -> Response:
        await asyncio.sleep(0.001)
        status, body = self._answer(Call(operation, args))
        return interpret(operation, status, copy.deepcopy(body))  # as sent: the shop may change it later


class LateShop(Model):
    """A shop that answers its first checkout with 500, and carries it out `late` reads after the settling time."""

    def __init__(self, late: int) -> None:
        super().__init__()
        self.late = late
        self.pending: str | None = None
        self.connections = 0
        self.final_reads = 0

    def connect(self, _limit_s: float) -> Client:
        self.connections += 1
        return Client(self.of_the_history if self.connections == 1 else self.answer)

    def of_the_history(self, call: Call) -> Answer:
        if call.op == "checkout" and self.pending is None:
            self.pending = str(call.args[0])
            return 500, "no answer of the payment"
        if call.op.startswith("find_"):
            self.final_reads += 1
            if self.final_reads == self.late and self.pending:
                self._checkout(self.pending)
        return self.answer(call)


def examination(folder: Path, shop: ExaminedShop, **limits: float) -> Examination:
    made = Examination(shop, folder, seed=1, limits=Limits(**{"budget_s": 30.0, "settle_s": 4.0, **limits}))
    made.begin()
    return made


async def test_an_effect_amid_the_final_reads_is_no_violation(tmp_path: Path) -> None:
    """The reads before and after the effect contradict each other; a second pass of reads does not."""
    late = LateShop(late=3)
    shop = ExaminedShop(URL, late.connect, ExternalRuntime(URL, []))
    plan = Round(name="late", workload=CourseSale(clients=2, stock=2), duration_s=5.0, last_sale=False)
    result = await judged(plan, examination(tmp_path, shop), within_s=20.0)
    assert late.orders[str(late.pending)]["paid"]
    assert result.findings == ()
    assert len(result.history.of_kind(SETTLED)) == 2


async def test_a_shop_that_stays_inconsistent_is_read_once_and_accused(tmp_path: Path) -> None:
    lost = LateShop(late=3)
    lost.forgets = True
    shop = ExaminedShop(URL, lost.connect, ExternalRuntime(URL, []))
    plan = Round(name="lost", workload=CourseSale(clients=2, stock=2), duration_s=5.0, last_sale=False)
    result = await judged(plan, examination(tmp_path, shop, settle_s=1.0), within_s=20.0)
    assert "paid-without-charge" in {finding.defect for finding in result.findings}
    assert len(result.history.of_kind(SETTLED)) == 1


class SlowToReturn(FakeShop):
    """Its checkouts are answered with 503 for `down_s` seconds after each kill."""

    down_s = 0.8

    def __init__(self) -> None:
        self.model = Model()
        super().__init__(self.model.answer)
        self.down_until_s = 0.0

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        self.down_until_s = asyncio.get_running_loop().time() + self.down_s
        super().kill(name, stay_down=stay_down)

    def reply(self, call: Call) -> Answer:
        down = call.op == "checkout" and asyncio.get_running_loop().time() < self.down_until_s
        return (503, "down") if down else self.model.answer(call)


async def test_a_node_is_killed_only_when_the_shop_serves_again(tmp_path: Path) -> None:
    """Two kills 0.1 s apart would be the death of two nodes, which no shop has promised to survive."""
    slow = SlowToReturn()
    runtime: Breakable = slow  # type: ignore[assignment]
    shop = ExaminedShop(URL, lambda _: Client(slow.reply), runtime)
    await slow.up()
    try:
        plan = Round(
            name="kills",
            workload=Checkout(clients=4, users=8, items=4, rate_per_s=100, credit=10_000, stock=10_000),
            duration_s=0.6,
            faults=tuple(faults.fault("crash", [node], at_s=at_s) for node, at_s in (("order", 0.2), ("stock", 0.3))),
            last_sale=False,
        )
        history = await conduct(plan, examination(tmp_path, shop, settle_s=5.0), within_s=20.0)
    finally:
        await slow.down()
    first, second = history.of_kind("fault-start")
    assert second.at_ns - first.at_ns > SlowToReturn.down_s * 1e9
    assert any(served(history.operations, first, second))


def served(operations: list[Operation], first: Event, second: Event) -> list[bool]:
    return [
        operation.op == "checkout" and operation.outcome == "ok" and first.at_ns < operation.completed_ns < second.at_ns
        for operation in operations
    ]


@pytest.mark.slow
async def test_an_accepted_checkout_is_an_answer_and_no_sale(tmp_path: Path) -> None:
    model = Model()

    def accept(call: Call) -> Answer:
        return (202, "later") if call.op == "checkout" else model.answer(call)

    shop = ExaminedShop(URL, lambda _: Client(accept), ExternalRuntime(URL, []))
    grade = await Load().examine(examination(tmp_path, shop), within_s=3.5)
    figures = dict(grade.figures)
    assert grade.sales == 0
    assert figures["highest rate within p99 500 ms"] == "20 checkouts/s"
    assert int(figures["of these accepted (202), and no sale yet"]) >= 36
