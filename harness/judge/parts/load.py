"""The part `load`: the highest rate of checkouts within a latency limit, in an open loop.

Only a 2xx is a success; a 5xx and a broken connection are unknown. Latency counts from the due time of a request, so that a stall
counts for every request that was due during it.
"""

import asyncio
from dataclasses import dataclass
from itertools import count
from random import Random

from harness.bench.load_generator import LoadGenerator, SessionPool, stop_after
from harness.history import FileRecorder, Operation
from harness.history.latency import latency_us
from harness.judge.examination import Examination
from harness.judge.parts.base import Grade
from harness.metrics.histogram import Histogram
from harness.run.load import ClientPool, SetupFailed
from harness.workload.base import Call, call, stream
from harness.workload.client import ACCEPTED

FIRST_PER_S = 20.0
STEP_S = 2.0
KEPT_UP = 0.9
"""The share of the requests that were due which a step must have sent and had answered with 2xx."""


@dataclass(frozen=True, slots=True)
class LoadStep:
    """One step of the search: the rate in requests a second, the share that was answered with 2xx, and the latency.

    `accepted` of the answers were 202: whether these checkouts end as sales is judged by the other parts.
    """

    rate_per_s: float
    answered: float
    p99_ms: float
    sales: int
    accepted: int

    def keeps(self, limit_ms: float) -> bool:
        """Whether the shop served this rate within the limit."""
        return self.answered >= KEPT_UP and self.p99_ms <= limit_ms


class Load:
    name = "load"
    summary = "the highest rate of checkouts within a p99 limit, in an open loop; only 2xx is a success"
    share = 0.1
    faults = False

    async def examine(self, examination: Examination, within_s: float) -> Grade:
        path = examination.folder / f"{self.name}.ndjson"
        steps: list[LoadStep] = []
        reasons: list[str] = []
        with FileRecorder(path, examination.header(self.name)) as recorder:
            try:
                async with asyncio.timeout(within_s), examination.shop.connect(examination.limits.answer_s) as client:
                    await _search(ClientPool(client, recorder), examination, steps)
            except TimeoutError:
                reasons.append("the time of this part was over before a rate failed: the figure is a lower bound")
            except SetupFailed as failure:
                reasons.append(str(failure))
        limit_ms = examination.limits.limit_p99_ms
        kept = [step for step in steps if step.keeps(limit_ms)]
        best = f"{kept[-1].rate_per_s:g} checkouts/s" if kept else "none"
        figures = [(f"highest rate within p99 {limit_ms:g} ms", best)]
        tried = [f"{step.rate_per_s:g}/s: {step.answered:.0%}, {step.p99_ms:.0f} ms" for step in steps]
        figures.append(("share of 2xx and p99 at each rate", "; ".join(tried)))
        if accepted := sum(step.accepted for step in steps):
            figures.append(("of these accepted (202), and no sale yet", str(accepted)))
        if not kept:
            reasons.append(f"no rate from {FIRST_PER_S:g} checkouts/s was served within the limit")
        return Grade(
            part=self.name,
            standing="passed" if steps else "inconclusive",
            sales=sum(step.sales for step in steps),
            reasons=tuple(reasons),
            figures=tuple(figures),
            histories=(path.name,),
        )


async def _search(clients: ClientPool, examination: Examination, steps: list[LoadStep]) -> None:
    """Double the rate until a step fails."""
    sessions = SessionPool(clients)
    users, item = await _accounts(clients)
    for number in count():
        rate = FIRST_PER_S * 2**number
        orders = await _orders(clients, users, item, round(rate * STEP_S * 1.2) + 5)
        step = await _step(clients, sessions, orders, rate, stream(examination.seed, f"load:{rate}"))
        steps.append(step)
        if not step.keeps(examination.limits.limit_p99_ms):
            return


async def _accounts(clients: ClientPool) -> tuple[list[str], str]:
    """Make users with credit, and one item of price 1 with stock, for all steps. Raises `SetupFailed`."""
    creations = await _all_ok(clients, [*[call("create_user")] * 50, call("create_item", 1)])
    users, item = [str(creation.value) for creation in creations[:-1]], str(creations[-1].value)
    await _all_ok(
        clients, [*[call("add_funds", user, 1_000_000) for user in users], call("add_stock", item, 1_000_000)]
    )
    return users, item


async def _orders(clients: ClientPool, users: list[str], item: str, number: int) -> list[str]:
    creations = await _all_ok(clients, [call("create_order", users[turn % len(users)]) for turn in range(number)])
    orders = [str(creation.value) for creation in creations]
    await _all_ok(clients, [call("add_item", order, item, 1) for order in orders])
    return orders


async def _all_ok(clients: ClientPool, calls: list[Call]) -> list[Operation]:
    operations = await clients.call_all(calls)
    for operation in operations:
        if operation.outcome != "ok":
            raise SetupFailed(f"set-up: {operation.op}{tuple(operation.args)} was answered {operation.value!r}")
    return operations


async def _step(clients: ClientPool, sessions: SessionPool, orders: list[str], rate: float, rng: Random) -> LoadStep:
    """Check orders out at this rate for `STEP_S` seconds, and wait for the answers."""
    latencies, outcomes = Histogram(), []

    def count_answer(operation: Operation) -> None:
        latencies.record(latency_us(operation))
        outcomes.append(ACCEPTED if operation.status == ACCEPTED else operation.outcome)

    generator = LoadGenerator(sessions, iter(orders), clients.recorder.now_ns, count_answer)
    async with stop_after(STEP_S) as over:
        await generator.open_loop(rate, "fixed", rng, over)
    expected = rate * STEP_S
    answered = outcomes.count("ok") + outcomes.count(ACCEPTED)
    return LoadStep(
        rate_per_s=rate,
        answered=min(1.0, answered / expected),
        p99_ms=(latencies.quantile(0.99) or 0) / 1000,
        sales=outcomes.count("ok"),
        accepted=outcomes.count(ACCEPTED),
    )
