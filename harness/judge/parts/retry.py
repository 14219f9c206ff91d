"""The part `retry`: clients that check out again, at once and later, after a success, a rejection and an unknown answer."""

from collections.abc import Iterator
from operator import ge

from harness.checkers.formatting import in_order, list_operations
from harness.checkers.operations import amount, balance_in
from harness.checkers.shop_model import OrderModel, build_model
from harness.history import History
from harness.judge.defects import DefectFinding
from harness.judge.examination import Examination
from harness.judge.parts.base import Grade, counts, grade, judged
from harness.judge.round import Round
from harness.judge.workloads import FailedFirst
from harness.workload.retry import Retry

RATE_PER_S = 120.0
LEAST_FOR_SECOND_S = 5.0
"""Seconds of the budget without which the second round is not begun: it would be stopped in the middle of its work."""

LEAST_TRIES = 3
LEAST_NS = 1_000_000_000
"""Tries, and nanoseconds between the first and the last, before a refusal counts: its reason may be an undo under way."""


class RetryPart:
    name = "retry"
    summary = (
        "double checkouts at once and later; checkouts after a failure of the same order; retries after unknown answers"
    )
    share = 0.2
    faults = False

    async def examine(self, examination: Examination, within_s: float) -> Grade:
        load_s = min(0.35 * within_s, 8.0 * examination.limits.scale)
        together = Retry(clients=12, users=20, items=8, rate_per_s=RATE_PER_S, again=0.5)
        first = await judged(Round(name="retry", workload=together, duration_s=load_s), examination, within_s * 0.5)
        if examination.left_s < LEAST_FOR_SECOND_S:
            reasons = ("the budget ended before the orders that fail first: raise --budget",)
            return grade(self.name, [first], [("checkouts", counts(first.history))], reasons=reasons)
        tries = max(5, int(examination.limits.settle_s * RATE_PER_S / 6 / 4))
        alone = FailedFirst(tries=tries, rate_per_s=RATE_PER_S)
        plan = Round(name="retry-alone", workload=alone, duration_s=0.35 * within_s)
        second = await judged(plan, examination, within_s * 0.5)
        figures = [("checkouts", counts(first.history)), ("orders that failed first", counts(second.history))]
        return grade(self.name, [first, second], figures, _never_retried(second.history))


def _never_retried(history: History) -> Iterator[DefectFinding]:
    """Yield the orders that stayed refused after the deposit: alone, or together with the later order of their user."""
    orders = history.derive(build_model).orders.values()
    refused: dict[str, list[OrderModel]] = {"never-retried": [], "lock-outlives-holder": []}
    for order in orders:
        if (
            not order.paid
            and all(attempt.outcome == "fail" for attempt in order.attempts)
            and _could_succeed(history, order)
        ):
            later = (other for other in orders if other.user == order.user and other.begun_ns > order.begun_ns)
            served = any(other.has_outcome("ok") for other in later)
            refused["never-retried" if served else "lock-outlives-holder"].append(order)
    for defect, cases in refused.items():
        if cases:
            evidence = in_order(cases[0].operations())
            what = f"{cases[0].name} failed once, its user and item got enough, and it was refused in every later checkout."
            yield DefectFinding(
                defect=defect,
                explanation=f"{what}\n{list_operations(history, evidence)}",
                concerns=tuple(order.name for order in cases[:20]),
                evidence=evidence[:30],
                times=len(cases),
                history="retry-alone.ndjson",
            )


def _could_succeed(history: History, order: OrderModel) -> bool:
    """Whether user and item of an order had enough before enough of its checkouts."""
    shop = history.derive(build_model)
    if order.user is None or not order.adds:
        return False
    accounts = [shop.account("user", order.user), shop.account("item", str(order.adds[0].args[1]))]
    deposits = [move for account in accounts for move in account.moves if amount(move) > 0 and move.outcome == "ok"]
    enough_ns = max((move.completed_ns for move in deposits), default=0)
    tries = [attempt.invoked_ns for attempt in order.attempts if attempt.invoked_ns > enough_ns]
    patient = len(tries) >= LEAST_TRIES and tries[-1] - tries[0] >= LEAST_NS
    # Where the last read shows too little, the refusal is right, and the loss has a finding of its own.
    left = [balance_in(account.reads[-1]) or 0 for account in accounts if account.reads]
    needed = [order.total or 0, *(order.items or {}).values()]
    return len(deposits) == len(accounts) and patient and all(map(ge, left, needed))
