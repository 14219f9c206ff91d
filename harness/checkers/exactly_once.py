"""No effect is repeated, and no acknowledged effect is lost.

An order that is checked out again, or a message that is delivered again, charges once; an acknowledged effect is
there at the end. The atomicity checker judges partial checkouts: here an order counts as lost if it was acknowledged
and has none of its effects.
"""

from collections.abc import Iterator

from harness.checkers.atomicity import deviation_evidence, half_done
from harness.checkers.balances import Deviation, reconcile
from harness.checkers.claims import KEPT
from harness.checkers.finding import Finding, Violation, conclude, explain_each
from harness.checkers.formatting import describe, in_order, list_operations
from harness.checkers.operations import contents, denies
from harness.checkers.shop_model import AccountModel, OrderModel, build_model
from harness.checkers.sums import Slack
from harness.history import History

EXCLUDED_BY = dict.fromkeys(
    (
        "charged-repeatedly",
        "taken-repeatedly",
        "refunded-without-charge",
        "returned-without-taking",
        "effect-repeated",
        "acknowledged-effect-lost",
        "acknowledged-checkout-lost",
        "acknowledged-creation-lost",
        "acknowledged-item-lost",
        "item-added-repeatedly",
    ),
    KEPT,
)

NAMES = {
    ("user", "repeated"): "charged-repeatedly",
    ("item", "repeated"): "taken-repeatedly",
    ("user", "undone"): "refunded-without-charge",
    ("item", "undone"): "returned-without-taking",
    ("user", "move-repeated"): "effect-repeated",
    ("item", "move-repeated"): "effect-repeated",
    ("user", "move-lost"): "acknowledged-effect-lost",
    ("item", "move-lost"): "acknowledged-effect-lost",
}


def check(history: History) -> Finding:
    """Judge repetitions and losses at the end of the run."""
    reconciliation = history.derive(reconcile)
    orders = history.derive(build_model).orders.values()
    named = [(name, deviation) for deviation in reconciliation.deviations if (name := _name(deviation))]
    violations = list(explain_each(named, lambda pair: pair[0], lambda pair: _multiple(history, pair[1])))
    violations += [*_lost_checkouts(history), *_lost_creations(history)]
    for order in orders:
        violations += _wrong_contents(history, order)
    figures = {
        "orders_checked_out_again": sum(len(order.attempts) > 1 for order in orders),
        "checkouts_acknowledged": sum(order.has_outcome("ok") for order in orders),
    }
    return conclude(violations, reconciliation.reasons, figures)


def _name(deviation: Deviation) -> str | None:
    return NAMES.get((deviation.balance.account.kind, deviation.kind))


def _multiple(history: History, deviation: Deviation) -> Violation:
    account, order, times = deviation.balance.account, deviation.order, deviation.times
    often = f"{times} times" if times > 1 else "once"
    if order and deviation.kind == "repeated":
        what = f"The {account.holds} of {account.name} was taken {often} too often for {order.name}."
    elif order:
        what = f"{order.name} is not paid, and {account.name} got its {account.holds} back {often} too often."
    elif deviation.move and deviation.kind == "move-lost":
        what = f"'{describe(deviation.move)}', but the final balance does not contain it."
    else:
        move = describe(deviation.move) if deviation.move else ""
        what = f"'{move}', but the final balance contains it {often} more."
    if not deviation.sure:
        what += " (Another explanation fits as well.)"
    evidence = deviation_evidence(deviation)
    return Violation(
        name=NAMES[account.kind, deviation.kind],
        explanation=f"{what}\n{list_operations(history, evidence)}",
        evidence=evidence,
        keys=(order.name, account.name) if order else (account.name,),
    )


def _lost_checkouts(history: History) -> Iterator[Violation]:
    halves = half_done(history)
    for order in history.derive(build_model).orders.values():
        if order.paid is False and order.has_outcome("ok") and order not in halves:
            yield _violation(
                history,
                "acknowledged-checkout-lost",
                f"{order.name} was acknowledged as paid, but at the end it has none of its effects.",
                order,
            )


def _lost_creations(history: History) -> Iterator[Violation]:
    shop = history.derive(build_model)
    things: list[AccountModel | OrderModel] = [*shop.every_account(), *shop.orders.values()]
    for thing in things:
        made, read = thing.created, thing.final_read
        removed = isinstance(thing, OrderModel) and any(removal.op == "remove_order" for removal in thing.removes)
        if made and made.outcome == "ok" and read and denies(read) and not removed:
            yield Violation(
                name="acknowledged-creation-lost",
                explanation=f"{thing.name} was created, but at the end the shop denies it.\n"
                f"{list_operations(history, (made, read))}",
                evidence=(made, read),
                keys=(thing.name,),
            )


def _wrong_contents(history: History, order: OrderModel) -> Iterator[Violation]:
    """Yield each item whose final quantity in the order contradicts the answers to its additions."""
    final = contents(order.final_read) if order.final_read and order.created else None
    if final is None:
        return
    sure: dict[str, int] = {}
    unsure: dict[str, list[int]] = {}
    removed = {str(removal.args[1]) for removal in order.removes if removal.op == "remove_item"}
    for add in order.adds:
        item, quantity = str(add.args[1]), int(add.args[2])
        if add.outcome == "ok" and item not in removed:
            sure[item] = sure.get(item, 0) + quantity
        else:
            unsure.setdefault(item, []).append(quantity)
    if sure == final[0]:
        return
    for item in dict.fromkeys([*final[0], *sure]):
        off = Slack(unsure.get(item, ())).off(final[0].get(item, 0) - sure.get(item, 0))
        if off:
            name = "item-added-repeatedly" if off > 0 else "acknowledged-item-lost"
            more = "more" if off > 0 else "less"
            what = f"{order.name} holds {abs(off)} {more} of item {item} than was added."
            yield _violation(history, name, what, order)


def _violation(history: History, name: str, what: str, order: OrderModel) -> Violation:
    evidence = in_order(order.operations())
    return Violation(
        name=name,
        explanation=f"{what}\n{list_operations(history, evidence)}",
        evidence=evidence,
        keys=(order.name,),
    )
