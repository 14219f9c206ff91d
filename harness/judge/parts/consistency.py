"""The part `consistency`: the course's test, with as many users as the shop can serve in the time."""

from collections.abc import Iterator

from harness.checkers.formatting import in_order, list_operations
from harness.checkers.shop_model import OrderModel, build_model
from harness.history import History
from harness.judge.defects import DefectFinding
from harness.judge.examination import Examination
from harness.judge.parts.base import Grade, counts, grade, judged
from harness.judge.round import Round
from harness.judge.workloads import CourseSale

MOST_USERS, FEWEST_USERS = 1_000, 50
REQUESTS_PER_USER = 7
"""Requests that one user takes: creation, deposit, order, line, checkout and the final reads."""


class Consistency:
    name = "consistency"
    summary = "one item with 100 pieces, 1,000 users, 1,000 checkouts at once; every order, user and item judged"
    share = 0.25
    faults = False

    async def examine(self, examination: Examination, within_s: float) -> Grade:
        users = int(examination.requests_per_s * within_s * 0.6 / REQUESTS_PER_USER)
        users = max(FEWEST_USERS, min(MOST_USERS, users))
        workload = CourseSale(clients=users, stock=users // 10)
        plan = Round(name=self.name, workload=workload, duration_s=examination.limits.answer_s + 1)
        result = await judged(plan, examination, within_s)
        heal_ns = result.history.phase_ns("heal") or result.history.end_ns
        orders = result.history.derive(build_model).orders.values()
        sold = sum(_sold_before(order, heal_ns) for order in orders)
        figures = [
            ("checkouts at once", f"{users} of one item with {workload.stock} pieces"),
            ("answers to checkouts", counts(result.history)),
            ("their orders paid at the end", sold),
        ]
        return grade(self.name, [result], figures, _refused(result.history, workload.stock))


def _refused(history: History, stock: int) -> Iterator[DefectFinding]:
    """Yield the finding that users were refused while pieces were left: contention is no reason for a 4xx."""
    if not history.complete or history.phase_ns("final") is None:
        return
    heal_ns = history.phase_ns("heal") or history.end_ns
    load = [order for order in history.derive(build_model).orders.values() if order.begun_ns < heal_ns]
    sold = sum(_sold_before(order, heal_ns) for order in load)
    unsure = sum(order.has_outcome("unknown") and not order.paid for order in load)
    refused = [order for order in load if order.has_outcome("fail") and not _sold_before(order, heal_ns)]
    if refused and sold + unsure < min(stock, len(load)):
        evidence = in_order(attempt for order in refused[:10] for attempt in order.attempts)
        what = f"{len(refused)} of {len(load)} users were refused, and only {sold} of {stock} pieces were sold."
        yield DefectFinding(
            defect="contention-refused",
            explanation=f"{what}\n{list_operations(history, evidence)}",
            concerns=tuple(order.name for order in refused[:20]),
            evidence=evidence,
            times=len(refused),
            history="consistency.ndjson",
        )


def _sold_before(order: OrderModel, heal_ns: int) -> bool:
    """Whether a paid order was sold in the load: one that was refused then may have been sold in the last sale."""
    tried = [attempt for attempt in order.attempts if attempt.invoked_ns < heal_ns]
    return order.paid is True and any(attempt.outcome != "fail" for attempt in tried)
