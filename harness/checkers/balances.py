"""The reconciliation of every final balance, and the likeliest explanation of each difference.

The expected balance is the opening, plus certain deposits and withdrawals, minus the amounts of paid orders, plus any
subset of the effects of unknown outcome. The final read of an order says whether it is paid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from harness.checkers.formatting import abbreviate
from harness.checkers.operations import amount, balance_in
from harness.checkers.shop_model import AccountModel, OrderModel, build_model
from harness.checkers.sums import Slack, subset
from harness.history import History, Operation

REPEATS = 3
"""The most repetitions of one effect that count as an explanation of a difference."""

DeviationKind = Literal["taken", "not-taken", "repeated", "undone", "move-repeated", "move-lost", "unexplained"]


class Balance(NamedTuple):
    """A reconciled account: the surplus over its expected balance, and the amounts of unknown outcome.

    `off` is the part of `surplus` that no subset of `unsure` explains; `exact` is false if only bounds could be judged.
    """

    account: AccountModel
    surplus: int
    unsure: tuple[int, ...]
    off: int
    exact: bool


@dataclass(frozen=True, slots=True, eq=False)
class Deviation:
    """One explanation of a balance that deviates.

    `taken`: an unpaid order's amount is missing. `not-taken`: a paid order's amount is still there. `repeated`: an
    order's amount is missing `times` times too often. `undone`: the amount of an unpaid order was returned without
    having been taken, or more than once. `move-repeated`, `move-lost`: the same for a deposit or withdrawal.
    `unexplained`: none of these. `sure` if no other explanation is as good, and for `unexplained`, if every set of
    orders was tried.
    """

    kind: DeviationKind
    balance: Balance
    order: OrderModel | None = None
    move: Operation | None = None
    times: int = 1
    sure: bool = True


class Reconciliation(NamedTuple):
    """Every balance that could be judged, the reasons why others could not, and the deviations."""

    balances: list[Balance]
    reasons: list[str]
    deviations: list[Deviation]


def reconcile(history: History) -> Reconciliation:
    """Reconcile every account with the operations on it; use `history.derive(reconcile)`."""
    shop = history.derive(build_model)
    if history.phase_ns("final") is None:
        return Reconciliation([], ["there is no final phase: no balance was read after quiescence"], [])
    opaque = [
        order
        for order in shop.orders.values()
        if order.has_outcome("ok", "unknown") and (order.recreated or not order.known)
    ]
    unsure = {("user", order.user) for order in opaque} | {
        ("item", str(add.args[1])) for order in opaque for add in order.adds
    }
    if any(order.recreated or order.user is None or not order.adds for order in opaque):
        names = abbreviate(order.name for order in opaque)
        return Reconciliation([], [f"the contents of {names} are unknown, so any balance may be right"], [])
    judged, skipped = [], []
    for account in shop.every_account():
        if account.touched or any(order.attempts for order, _ in account.draws):
            reconciled = None if (account.kind, account.id) in unsure else _balance(account)
            judged.append(reconciled) if reconciled else skipped.append(account.name)
    reasons = [f"{len(skipped)} balances could not be judged: {abbreviate(skipped)}"] if skipped else []
    bounded = [balance.account.name for balance in judged if not balance.exact and not balance.off]
    if bounded:
        reasons.append(
            f"too many amounts are of unknown outcome to enumerate their sums: "
            f"only the bounds of {abbreviate(bounded)} were judged"
        )
    return Reconciliation(judged, reasons, _deviations(judged))


def _balance(account: AccountModel) -> Balance | None:
    """Return the balance under the better of two assumptions: no `batch_init` without an answer took effect, or one
    did.
    """
    left = balance_in(account.final_read) if account.final_read else None
    if left is None or account.opening is None:
        return None
    surely = _since_the_last(account, left, account.opening)
    after_reset = (_after_any(account, left, opening) for opening in account.possible_openings) if surely.off else ()
    return next((balance for balance in after_reset if not balance.off), surely)


def _after_any(account: AccountModel, left: int, opening: int) -> Balance:
    """Return the balance after a reset to `opening` at an unknown time: each effect may have come before it or after."""
    gone = (-share for order, share in account.draws if order.paid or order.has_outcome("ok", "unknown"))
    unsure = (*map(amount, account.moves), *gone)
    slack = Slack(unsure)
    return Balance(account, left - opening, unsure, slack.off(left - opening), slack.exact)


def _since_the_last(account: AccountModel, left: int, opening: int) -> Balance:
    """Return the balance since the last acknowledged reset. An operation that overlaps the reset is of unknown effect."""
    sure = sold = 0
    unsure: list[int] = []
    for move in account.moves:
        if move.outcome == "ok" and move.invoked_ns > account.set_ns:
            sure += amount(move)
        else:
            unsure.append(amount(move))
    for order, share in account.draws:
        if order.paid and order.begun_ns > account.set_ns:
            sold += share
        elif order.paid or (order.paid is None and order.has_outcome("ok", "unknown")):
            unsure.append(-share)
    surplus, slack = left - (opening + sure - sold), Slack(unsure)
    return Balance(account, surplus, tuple(unsure), slack.off(surplus), slack.exact)


def _deviations(balances: Sequence[Balance]) -> list[Deviation]:
    """Explain every deviating balance. Users come first: they have few orders, and an order of theirs is a suspect
    for its items.
    """
    suspects: set[OrderModel] = set()
    deviations: list[Deviation] = []
    for deviating in sorted(balances, key=lambda balance: balance.account.kind, reverse=True):
        if deviating.off:
            reasons = explain(deviating, suspects)
            suspects.update(deviation.order for deviation in reasons if deviation.order)
            deviations += reasons
    return deviations


def explain(balance: Balance, suspects: set[OrderModel]) -> list[Deviation]:
    """Return the explanation of a difference with the fewest wrong effects, of equals the one without repetitions.

    The true cause is unknown to the clients; the fewest wrong effects are the most probable ones where faults are
    rare (the principle of parsimony: Reiter, "A theory of diagnosis from first principles", AI 32(1), 1987).
    """
    options = [[deviation] for deviation in _single(balance, suspects)]
    kind: DeviationKind = "taken" if balance.off < 0 else "not-taken"
    pool = _ranked(balance, suspects, is_paid=balance.off > 0)
    several, tried_all = subset([share for _, share in pool], abs(balance.off))
    if len(several) > 1:
        options.append([Deviation(kind, balance, pool[position][0]) for position in several])
    if not options:
        return [Deviation("unexplained", balance, sure=tried_all)]
    # A set of half-done orders may contain other orders of the same amounts, so it is certain only if it is the whole pool.
    cost = [(sum(deviation.times for deviation in option), option[0].kind != kind) for option in options]
    best = options[cost.index(min(cost))]
    sure = cost.count(min(cost)) == 1 and len(best) in {1, len(pool)}
    return [replace(deviation, sure=sure) for deviation in best]


def _single(balance: Balance, suspects: set[OrderModel]) -> Iterator[Deviation]:
    """Yield every explanation by one order, deposit or withdrawal, the likeliest culprits first."""
    missing = -balance.off
    paid, unpaid = (_ranked(balance, suspects, is_paid=is_paid) for is_paid in (True, False))
    moves = [(move, amount(move)) for move in balance.account.moves]
    if missing > 0:
        yield from (Deviation("taken", balance, order) for order, share in unpaid if share == missing)
        for order, share in (*paid, *((order, share) for order, share in unpaid if share != missing)):
            if times := _times(missing, share):
                yield Deviation("repeated", balance, order, times=times)
    else:
        yield from (Deviation("not-taken", balance, order) for order, share in paid if share == -missing)
        for order, share in unpaid:
            if times := _times(-missing, share):
                yield Deviation("undone", balance, order, times=times)
    for move, moved in moves:
        if moved == missing and move.outcome == "ok":
            yield Deviation("move-lost", balance, move=move)
        elif times := _times(-missing, moved):
            yield Deviation("move-repeated", balance, move=move, times=times)


def _ranked(balance: Balance, suspects: set[OrderModel], *, is_paid: bool) -> list[tuple[OrderModel, int]]:
    """Return (order, amount) of orders with a checkout that are paid, or not: suspects and unknown outcomes first."""
    pool = [
        (order, share) for order, share in balance.account.draws if order.paid is is_paid and order.attempts and share
    ]
    return sorted(pool, key=lambda draw: (draw[0] not in suspects, not draw[0].has_outcome("unknown")))


def _times(whole: int, part: int) -> int:
    """Return how often `part` divides `whole`, 0 if there is a rest, or more than `REPEATS` times."""
    times, rest = divmod(whole, part) if part else (0, 0)
    return times if not rest and 1 <= times <= REPEATS else 0
