"""Does each balance at the end equal what it should, and if not, what would explain the difference?

A balance should be its opening, plus what was certainly put in, minus what its paid orders took, plus any
subset of what may or may not have happened. Orders are paid or not by the shop's own word at the end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from harness.checkers.formatting import some
from harness.checkers.shop_model import AccountModel, OrderModel, amount, balance_in, build_model
from harness.checkers.sums import Slack, subset
from harness.history import History, Operation

REPEATS = 3
"""An effect found more often than this many times too often is put down to something else."""

DeviationKind = Literal["taken", "not-taken", "repeated", "undone", "move-repeated", "move-lost", "unexplained"]


class Balance(NamedTuple):
    """An account, how much more than it should is left in it, and what may have been applied to it.

    `off` is the part of `surplus` that nothing unsure explains; `exact` is false if only its bounds could be judged.
    """

    account: AccountModel
    surplus: int
    unsure: tuple[int, ...]
    off: int
    exact: bool


@dataclass(frozen=True, slots=True, eq=False)
class Deviation:
    """One explanation of a balance that is off.

    `taken`: an unpaid order's amount is gone. `not-taken`: a paid order's amount is there. `repeated`: an order's
    amount is gone `times` times too often. `undone`: the amount of an unpaid order was given back though it was never
    taken, or more than once. `move-repeated`, `move-lost`: the same for a deposit or withdrawal. `unexplained`: none
    of these. `sure` if nothing else explains it as well, and, of what is unexplained, if every set of orders was
    tried.
    """

    kind: DeviationKind
    balance: Balance
    order: OrderModel | None = None
    move: Operation | None = None
    times: int = 1
    sure: bool = True


class Reconciliation(NamedTuple):
    """Every balance that could be judged, and why others could not."""

    balances: list[Balance]
    reasons: list[str]
    deviations: list[Deviation]


def reconcile(history: History) -> Reconciliation:
    """The reckoning; use `history.derive(reconcile)`."""
    shop = history.derive(build_model)
    if history.phase_ns("final") is None:
        return Reconciliation([], ["there is no final phase: nothing was read after the shop had come to rest"], [])
    opaque = [
        order
        for order in shop.orders.values()
        if order.has_outcome("ok", "unknown") and (order.recreated or not order.known)
    ]
    unsure = {("user", order.user) for order in opaque} | {
        ("item", str(add.args[1])) for order in opaque for add in order.adds
    }
    if any(order.recreated or order.user is None or not order.adds for order in opaque):
        names = some(order.name for order in opaque)
        return Reconciliation([], [f"the content is unknown of {names}, so any balance may be right"], [])
    judged, skipped = [], []
    for account in shop.every_account():
        if account.touched or any(order.attempts for order, _ in account.draws):
            found = None if (account.kind, account.id) in unsure else _balance(account)
            judged.append(found) if found else skipped.append(account.name)
    reasons = [f"{len(skipped)} balances could not be judged: {some(skipped)}"] if skipped else []
    bounded = [found.account.name for found in judged if not found.exact and not found.off]
    if bounded:
        reasons.append(
            f"too many amounts are unsure to say which sums are possible: only the bounds of {some(bounded)} were judged"
        )
    return Reconciliation(judged, reasons, _deviations(judged))


def _balance(account: AccountModel) -> Balance | None:
    """The nearest explanation: that no `batch_init` without an answer took effect, or that one did, after any of the
    others.
    """
    left = balance_in(account.final_read) if account.final_read else None
    if left is None or account.opening is None:
        return None
    surely = _since_the_last(account, left, account.opening)
    anew = (_after_any(account, left, opening) for opening in account.possible_openings) if surely.off else ()
    return next((found for found in anew if not found.off), surely)


def _after_any(account: AccountModel, left: int, opening: int) -> Balance:
    """It began anew with `opening` at a time that nobody knows: each effect may have come before it or after."""
    gone = (-each for order, each in account.draws if order.paid or order.has_outcome("ok", "unknown"))
    unsure = (*map(amount, account.moves), *gone)
    slack = Slack(unsure)
    return Balance(account, left - opening, unsure, slack.off(left - opening), slack.exact)


def _since_the_last(account: AccountModel, left: int, opening: int) -> Balance:
    sure = sold = 0
    unsure: list[int] = []
    for move in account.moves:
        if move.outcome == "ok" and move.invoked_ns > account.set_ns:
            sure += amount(move)
        else:
            unsure.append(amount(move))
    for order, each in account.draws:
        if order.paid and order.begun_ns > account.set_ns:
            sold += each
        elif order.paid or (order.paid is None and order.has_outcome("ok", "unknown")):
            unsure.append(-each)
    surplus, slack = left - (opening + sure - sold), Slack(unsure)
    return Balance(account, surplus, tuple(unsure), slack.off(surplus), slack.exact)


def _deviations(balances: Sequence[Balance]) -> list[Deviation]:
    """Users first: they have few orders, and an order found there is the first suspect for its items."""
    suspects: set[OrderModel] = set()
    found: list[Deviation] = []
    for each in sorted(balances, key=lambda balance: balance.account.kind, reverse=True):
        if each.off:
            reasons = explain(each, suspects)
            suspects.update(deviation.order for deviation in reasons if deviation.order)
            found += reasons
    return found


def explain(balance: Balance, suspects: set[OrderModel]) -> list[Deviation]:
    """The explanation with the fewest wrong effects; half-done orders rather than repeated ones."""
    options = [[each] for each in _single(balance, suspects)]
    kind: DeviationKind = "taken" if balance.off < 0 else "not-taken"
    pool = _ranked(balance, suspects, is_paid=balance.off > 0)
    several, tried_all = subset([each for _, each in pool], abs(balance.off))
    if len(several) > 1:
        options.append([Deviation(kind, balance, pool[position][0]) for position in several])
    if not options:
        return [Deviation("unexplained", balance, sure=tried_all)]
    cost = [(sum(each.times for each in option), option[0].kind != kind) for option in options]
    best = options[cost.index(min(cost))]
    sure = cost.count(min(cost)) == 1 and len(best) in {1, len(pool)}
    return [replace(each, sure=sure) for each in best]


def _single(balance: Balance, suspects: set[OrderModel]) -> Iterator[Deviation]:
    missing = -balance.off
    paid, unpaid = (_ranked(balance, suspects, is_paid=is_paid) for is_paid in (True, False))
    moves = [(move, amount(move)) for move in balance.account.moves]
    if missing > 0:
        yield from (Deviation("taken", balance, order) for order, each in unpaid if each == missing)
        for order, each in (*paid, *((order, each) for order, each in unpaid if each != missing)):
            if times := _times(missing, each):
                yield Deviation("repeated", balance, order, times=times)
    else:
        yield from (Deviation("not-taken", balance, order) for order, each in paid if each == -missing)
        for order, each in unpaid:
            if times := _times(-missing, each):
                yield Deviation("undone", balance, order, times=times)
    for move, each in moves:
        if each == missing and move.outcome == "ok":
            yield Deviation("move-lost", balance, move=move)
        elif times := _times(-missing, each):
            yield Deviation("move-repeated", balance, move=move, times=times)


def _ranked(balance: Balance, suspects: set[OrderModel], *, is_paid: bool) -> list[tuple[OrderModel, int]]:
    """The orders with an attempt that are paid, or not; the likeliest culprits first."""
    pool = [(o, each) for o, each in balance.account.draws if o.paid is is_paid and o.attempts and each]
    return sorted(pool, key=lambda draw: (draw[0] not in suspects, not draw[0].has_outcome("unknown")))


def _times(whole: int, part: int) -> int:
    """How often `part` goes into `whole`, 0 if not exactly, or not believably often."""
    times, rest = divmod(whole, part) if part else (0, 0)
    return times if not rest and 1 <= times <= REPEATS else 0
