"""From the violations of a history to the defects of a shop, by name.

A checker reports an effect ("order 7 is paid, its credit is still there"); the diagnosis names the likeliest defect by the
answers that the client got, and by the operations and faults at the same time. The rules stand in one table, the first that
applies wins.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from harness.checkers import Judgement, Violation
from harness.checkers.balances import reconcile
from harness.checkers.formatting import in_order, list_operations
from harness.checkers.nodes import ends
from harness.checkers.operations import amount, balance_in
from harness.checkers.shop_model import AccountModel, OrderModel, ShopModel, build_model
from harness.history import Event, History, Operation
from harness.judge.afterwards import STUCK
from harness.judge.defects import DefectFinding, by_severity
from harness.judge.settling import SETTLED, last_settled

OF_VIOLATION: Mapping[str, str] = {
    "negative-credit": "negative-balance",
    "negative-stock": "negative-balance",
    "refunded-without-charge": "lost-compensation",
    "returned-without-taking": "lost-compensation",
    "refused-but-paid": "refused-but-happened",
    "refused-then-paid": "refused-but-happened",
    "paid-without-checkout": "paid-without-charge",
    "paid-order-refused": "paid-order-refused",
    "foreign-answer": "wrong-answer",
    "order-of-another-user": "wrong-answer",
    "wrong-price": "wrong-answer",
    "item-from-nowhere": "wrong-answer",
    "id-given-twice": "ids-reused",
    "dirty-read": "dirty-read",
    "G1a": "dirty-read",
    "lost-update": "lost-update",
    "lost-update-realtime": "lost-update",
    "unexplained-credit": "unbalanced",
    "unexplained-stock": "unbalanced",
    "effect-repeated": "unbalanced",
    "nonsense-accepted": "contract",
    "impossible-number": "contract",
    "wrong-total": "contract",
    "paid-before-checkout": "wrong-answer",
    "changed-after-payment": "wrong-answer",
}
"""The defect behind a violation, where the violation alone decides it."""

LOSSES = frozenset(
    {
        "acknowledged-effect-lost", "acknowledged-checkout-lost", "acknowledged-creation-lost", "acknowledged-item-lost",
    }
)  # fmt: skip
"""Losses that the final reads show."""

REPEATED = frozenset({"charged-repeatedly", "taken-repeatedly"})
HALVES = frozenset({"charged-but-unpaid", "taken-but-unpaid", "paid-but-not-charged", "paid-but-not-taken"})
OF_DEVIATIONS = REPEATED | HALVES | {"refunded-without-charge", "returned-without-taking"}
"""Violations that name one order as the explanation of a balance."""

SUMS = frozenset({"credit-created", "credit-destroyed", "stock-created", "stock-destroyed"})
READS = frozenset(
    {
        "stale-read",
        "acknowledged-move-missed",
        "read-from-the-future",
        "impossible-balance",
        "acknowledged-checkout-missed",
        "acknowledged-creation-denied",
        "paid-then-unpaid",
        "acknowledged-item-missing",
    }
)


def diagnose(history: History, judgement: Judgement, file: str = "") -> list[DefectFinding]:
    """Return the defects that a history shows, the worst first, one for each name."""
    seen = [*_violations(history, judgement), *_oversales(history), *_stuck(history), *_unsettled(history)]
    # A wrong balance at the end is also a wrong read: the defect that explains the balance explains the read.
    cases = [(name, case) for name, case in seen if not _is_final_read(history, case)] or seen
    names = dict.fromkeys(name for name, _ in cases)
    # A sum that does not add up is explained by any other finding about balances, and a late end by what was left.
    if len(names) > 1:
        names.pop("never-settled", None)
    if names.keys() & OF_BALANCES:
        names.pop("unbalanced", None)
    groups = {name: [case for of, case in cases if of == name] for name in names}
    return by_severity([_merged(history, name, group, file) for name, group in groups.items()])


OF_BALANCES = frozenset({
    "lost-update", "oversell", "charge-without-paid", "paid-without-charge", "failure-counted-as-success", "lost-over-kill",
    "checkout-not-idempotent", "lost-compensation", "in-doubt-leak", "ids-reused", "negative-balance",
})  # fmt: skip
"""Defects that explain a balance which does not add up."""


def _merged(history: History, name: str, cases: Sequence[Violation], file: str) -> DefectFinding:
    unsure = {
        (deviation.order.name if deviation.order else "", deviation.balance.account.name)
        for deviation in history.derive(reconcile).deviations
        if not deviation.sure
    }
    told = [case for case in cases if case.explanation] or cases[:1]
    sure = [case for case in told if case.name not in OF_DEVIATIONS or not unsure.intersection(pairwise(case.keys))]
    first = (sure or told)[0]
    concerns = tuple(dict.fromkeys(key for case in cases for key in case.keys))
    return DefectFinding(
        defect=name,
        explanation=first.explanation,
        concerns=concerns[:20],
        evidence=first.evidence[:30],
        times=len(cases),
        history=file,
        # Whichever of the concurrent orders it was: an update was lost.
        sure=bool(sure) or name == "lost-update",
    )


def _is_final_read(history: History, violation: Violation) -> bool:
    """Whether a violation accuses a read of a balance at the end."""
    final_ns = history.phase_ns("final")
    if final_ns is None or violation.name not in READS | {"dirty-read"} or not violation.evidence:
        return False
    last = violation.evidence[-1]
    return last.invoked_ns >= final_ns and last.op in ("find_user", "find_item")


def _violations(history: History, judgement: Judgement) -> Iterator[tuple[str, Violation]]:
    shop = history.derive(build_model)
    for result in judgement.results:
        for violation in result.violated:
            yield _name(history, shop, violation, result.checker), violation


def _name(history: History, shop: ShopModel, violation: Violation, checker: str) -> str:
    name = violation.name
    if name in OF_VIOLATION:
        return OF_VIOLATION[name]
    if name in LOSSES:
        alone = "failure-counted-as-success" if name == "acknowledged-checkout-lost" else "acknowledged-lost"
        return "lost-over-kill" if _after_a_kill(history, violation) else alone
    if name in REPEATED | HALVES:
        return (_repeated if name in REPEATED else _half)(history, shop, violation)
    if name in SUMS:
        return "unbalanced"
    if name in READS:
        return (
            "lost-over-kill"
            if _is_denied_by_its_service(violation) and _after_a_kill(history, violation)
            else "stale-read"
        )
    return "isolation-anomaly" if checker == "isolation" else "contract"


def _is_denied_by_its_service(violation: Violation) -> bool:
    """Whether a read of an entity denies it: another service may say "no such item" because the one of items is down."""
    return violation.name == "acknowledged-creation-denied" and violation.evidence[-1].op.startswith("find_")


def _after_a_kill(history: History, violation: Violation) -> bool:
    """Whether a fault began between the first and the last operation of the evidence."""
    if not violation.evidence:
        return bool(history.of_kind("fault-start"))
    begin = min(operation.invoked_ns for operation in violation.evidence)
    end = max(operation.completed_ns for operation in violation.evidence)
    return any(begin <= fault.at_ns <= end for fault in history.of_kind("fault-start"))


def _half(history: History, shop: ShopModel, violation: Violation) -> str:
    """Return the defect behind an order with a part of its effects."""
    order, account = _subjects(shop, violation)
    if violation.name.startswith("paid-but-not"):
        if order and account and _others_at_the_same_time(account, order):
            return "lost-update"
        if account and account.kind == "item" and _oversold(account):
            return "oversell"
        return "failure-counted-as-success" if order and _during_a_fault(history, order) else "paid-without-charge"
    outcomes = {attempt.outcome for attempt in order.attempts} if order else set()
    if outcomes == {"fail"}:
        return "lost-compensation"
    return "charge-without-paid" if "ok" in outcomes or not outcomes else "in-doubt-leak"


def _repeated(_history: History, shop: ShopModel, violation: Violation) -> str:
    """Return the defect behind an order whose amount is missing more than once.

    Stock that is missing twice after a rejected checkout was not returned; a checkout after the first success charged again.
    """
    order, _ = _subjects(shop, violation)
    attempts = in_order(order.attempts) if order else ()
    rejected = any(attempt.outcome == "fail" for attempt in attempts)
    return "lost-compensation" if rejected and violation.name == "taken-repeatedly" else "checkout-not-idempotent"


def _subjects(shop: ShopModel, violation: Violation) -> tuple[OrderModel | None, AccountModel | None]:
    order: OrderModel | None = None
    account: AccountModel | None = None
    for key in violation.keys:
        kind, _, name = key.partition(" ")
        if kind == "order":
            order = shop.orders.get(name)
        elif kind in ("user", "item"):
            account = shop.accounts[kind].get(name)  # type: ignore[index]
    return order, account


def _others_at_the_same_time(account: AccountModel, order: OrderModel) -> bool:
    """Whether another effect on the account was under way during a checkout of the order."""
    others: list[Operation] = [*account.every_move]
    for other, _ in account.draws:
        if other is not order:
            others += [attempt for attempt in other.attempts if attempt.outcome != "fail"]
    return any(
        other.invoked_ns < attempt.completed_ns and attempt.invoked_ns < other.completed_ns
        for attempt in order.attempts
        for other in others
    )


def _during_a_fault(history: History, order: OrderModel) -> bool:
    return any(
        attempt.invoked_ns <= end_ns and start.at_ns <= attempt.completed_ns
        for start, end_ns in ends(history)
        for attempt in order.attempts
    )


def _oversales(history: History) -> Iterator[tuple[str, Violation]]:
    """Yield each item of which checkouts took more pieces than there ever were."""
    for item in history.derive(build_model).accounts["item"].values():
        oversold = _oversold(item)
        if oversold:
            sold, there = oversold
            sales = [(order, pieces) for order, pieces in item.draws if order.paid]
            buyers = [attempt for order, _ in sales for attempt in order.attempts]
            evidence = in_order(
                [*(step for step in (item.created, *item.moves, item.final_read) if step), *buyers[:10]]
            )
            what = f"Checkouts took {sold} pieces of {item.name}, and there were {there}."
            yield (
                "oversell",
                Violation(
                    name="oversell",
                    explanation=f"{what}\n{list_operations(history, evidence)}",
                    evidence=evidence,
                    keys=(item.name, *(order.name for order, _ in sales[:10])),
                ),
            )


def _oversold(item: AccountModel) -> tuple[int, int] | None:
    """Return (pieces sold, pieces that there ever were) of an item that was oversold.

    Where checkouts alone have taken stock, a read below zero shows sales of orders whose state is not known.
    """
    if item.opening is None:
        return None
    there = item.opening + sum(max(0, amount(move)) for move in item.moves)
    sold = sum(pieces for order, pieces in item.draws if order.paid)
    if item.draws and all(amount(move) >= 0 for move in item.every_move):
        sold = max(sold, there - min((balance_in(read) or 0 for read in item.reads), default=there))
    return (sold, there) if sold > there else None


def _stuck(history: History) -> Iterator[tuple[str, Violation]]:
    shop = history.derive(build_model)
    for event in history.of_kind(STUCK):
        evidence = in_order(_operations_of(history, event))
        order = shop.orders.get(str(event.data["order"])) if event.data.get("alone") else None
        what = (
            f"After the load, order {order.id} could not be completed, with enough credit and stock, in {event.data['tries']} "
            "tries. Another order of the same user and items was sold."
            if order
            else f"After the load, user {event.data['user']} could not buy item {event.data['item']}, alone and with enough "
            f"credit and stock, in {event.data['tries']} tries."
        )
        yield (
            _held(history, order),
            Violation(
                name=STUCK,
                explanation=f"{what}\n{list_operations(history, evidence)}",
                evidence=evidence,
                keys=(f"user {event.data['user']}", f"item {event.data['item']}"),
            ),
        )


def _held(history: History, order: OrderModel | None) -> str:
    """Return the defect behind a sale that is stuck. `order`: the only order that is; None if its user or item is held.

    An order that was rejected first, and has no certain answer since, waits for goods that a failed checkout has not released.
    """
    if order is None or _during_a_fault(history, order):
        return "lock-outlives-holder"  # a kill has left its lock behind, if only one of many
    outcomes = [attempt.outcome for attempt in in_order(order.attempts)]
    if "unknown" not in outcomes:
        return "never-retried"
    return "in-doubt-leak" if outcomes[0] == "unknown" else "lock-outlives-holder"


def _operations_of(history: History, event: Event) -> list[Operation]:
    since_ns = history.phase_ns("last-sale") or 0
    named = {str(event.data["user"]), str(event.data["item"]), str(event.data["order"])}
    return [
        operation
        for operation in history.operations
        if since_ns <= operation.invoked_ns <= event.at_ns and named & set(map(str, operation.args))
    ][-10:]


def _unsettled(history: History) -> Iterator[tuple[str, Violation]]:
    event = last_settled(history)
    if event is not None and event.data["left"]:
        left = ", ".join(event.data["left"])
        what = f"{event.data['within_s']:g} s after the load, reads still showed: {left}."
        yield "never-settled", Violation(name=SETTLED, explanation=what)
