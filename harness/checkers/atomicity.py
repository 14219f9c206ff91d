"""Each checkout has all of its effects or none, and a rejected checkout has none.

Judged at the end of the run, after faults are healed and transactions recovered: an order is paid, its user is
charged and its items are taken, or none of these. The exactly-once checker judges repeated effects, and acknowledged
orders that are lost with all of their effects.
"""

from collections.abc import Iterator

from harness.checkers.balances import Deviation, reconcile
from harness.checkers.claims import ATOMIC
from harness.checkers.finding import Finding, Violation, conclude, explain_each
from harness.checkers.formatting import abbreviate, in_order, list_operations
from harness.checkers.shop_model import OrderModel, build_model
from harness.history import History, Operation

EXCLUDED_BY = dict.fromkeys(
    (
        "charged-but-unpaid",
        "taken-but-unpaid",
        "paid-but-not-charged",
        "paid-but-not-taken",
        "unexplained-credit",
        "unexplained-stock",
        "refused-but-paid",
        "paid-without-checkout",
    ),
    ATOMIC,
)

NAMES = {
    ("user", "taken"): "charged-but-unpaid",
    ("item", "taken"): "taken-but-unpaid",
    ("user", "not-taken"): "paid-but-not-charged",
    ("item", "not-taken"): "paid-but-not-taken",
    ("user", "unexplained"): "unexplained-credit",
    ("item", "unexplained"): "unexplained-stock",
}


def check(history: History) -> Finding:
    """Judge users, items and orders at the end, against each other and against the answers to clients."""
    reconciliation = history.derive(reconcile)
    tried = [order for order in history.derive(build_model).orders.values() if order.attempts]
    reasons = list(reconciliation.reasons)
    if not tried:
        reasons.append("no checkout was tried")
    unread = [order.name for order in tried if order.paid is None and not order.gone]
    if unread:
        reasons.append(f"{len(unread)} orders could not be read at the end: {abbreviate(unread)}")
    named = [(name, deviation) for deviation in reconciliation.deviations if (name := _name(deviation))]
    violations = list(explain_each(named, lambda pair: pair[0], lambda pair: _partial_effect(history, pair[1])))
    violations += _false_rejections(history)
    figures = {"orders_tried": len(tried), "orders_paid": sum(order.paid is True for order in tried)}
    return conclude(violations, reasons, figures)


def half_done(history: History) -> set[OrderModel]:
    """Return the orders with some of their effects and without others."""
    reconciliation = history.derive(reconcile)
    return {deviation.order for deviation in reconciliation.deviations if deviation.order and _name(deviation)}


def _name(deviation: Deviation) -> str | None:
    return NAMES.get((deviation.balance.account.kind, deviation.kind))


def _partial_effect(history: History, deviation: Deviation) -> Violation:
    account, order = deviation.balance.account, deviation.order
    what = _explanation(deviation)
    if order:
        what += f" Its checkouts were answered: {_outcomes(order)}."
    if order and not deviation.sure:
        what += f" (Other orders of {account.name} would explain it as well.)"
    evidence = deviation_evidence(deviation)
    return Violation(
        name=NAMES[account.kind, deviation.kind],
        explanation=f"{what}\n{list_operations(history, evidence)}",
        evidence=evidence,
        keys=(order.name, account.name) if order else (account.name,),
    )


def _explanation(deviation: Deviation) -> str:
    balance, order = deviation.balance, deviation.order
    account = balance.account
    if order is None:
        more = "more" if balance.off > 0 else "less"
        why = (
            "no order explains it"
            if deviation.sure
            else "there are too many orders to try which of them would explain it"
        )
        return f"{account.name} has {abs(balance.off)} {more} {account.holds} at the end than it should, and {why}."
    share = next(amount for drawing, amount in account.draws if drawing is order)
    if deviation.kind == "taken":
        return f"{order.name} is not paid, but its {share} {account.holds} of {account.name} is gone."
    return f"{order.name} is paid, but its {share} {account.holds} of {account.name} is still there."


def deviation_evidence(deviation: Deviation) -> tuple[Operation, ...]:
    """Return the operations on the order and the account of a deviation, in time order."""
    account, order = deviation.balance.account, deviation.order
    steps = [account.created, *account.moves, deviation.move, account.final_read]
    orders = [order] if order else [drawing for drawing, _ in account.draws][:5]
    return in_order(
        [*(step for step in steps if step), *(operation for drawing in orders for operation in drawing.operations())]
    )


def _false_rejections(history: History) -> Iterator[Violation]:
    for order in history.derive(build_model).orders.values():
        if order.paid and not order.has_outcome("ok", "unknown"):
            name = "refused-but-paid" if order.attempts else "paid-without-checkout"
            answers = (
                f"every checkout of it was answered {_outcomes(order)}" if order.attempts else "no checkout names it"
            )
            yield Violation(
                name=name,
                explanation=f"{order.name} is paid, but {answers}.\n{list_operations(history, order.operations())}",
                evidence=in_order(order.operations()),
                keys=(order.name,),
            )


def _outcomes(order: OrderModel) -> str:
    return ", ".join(attempt.outcome for attempt in in_order(order.attempts)) or "nothing"
