"""Conservation: credit + paid is constant, stock + sold is constant, and no balance is negative.

These are sums over all users and over all items, so they need no suspect order; the atomicity checker looks for the
order.
"""

from collections.abc import Iterator

from harness.checkers.balances import Balance, reconcile
from harness.checkers.claims import ATOMIC, CONTRACT
from harness.checkers.finding import Finding, Violation, conclude
from harness.checkers.formatting import abbreviate, list_operations
from harness.checkers.operations import balance_in
from harness.checkers.shop_model import AccountModel, build_model
from harness.checkers.sums import Slack
from harness.history import History, Operation

EXCLUDED_BY = {
    "credit-created": ATOMIC,
    "credit-destroyed": ATOMIC,
    "stock-created": ATOMIC,
    "stock-destroyed": ATOMIC,
    "negative-credit": CONTRACT,
    "negative-stock": CONTRACT,
}


def check(history: History) -> Finding:
    """Judge the sums at the end of the run, and every balance read at any time."""
    reconciliation = history.derive(reconcile)
    reasons = list(reconciliation.reasons)
    if not reconciliation.balances and not reasons:
        reasons.append("no balance was touched")
    figures: dict[str, int] = {}
    violations = list(_negative(history))
    for kind in ("credit", "stock"):
        balances = [balance for balance in reconciliation.balances if balance.account.holds == kind]
        unsure = (amount for balance in balances for amount in balance.unsure)
        off = Slack(unsure).off(sum(balance.surplus for balance in balances))
        figures[f"{kind}_accounts"], figures[f"{kind}_off"] = len(balances), off
        if off:
            violations.append(_imbalance(history, kind, balances, off))
    return conclude(violations, reasons, figures)


def _imbalance(history: History, kind: str, balances: list[Balance], off: int) -> Violation:
    deviating = [balance.account for balance in balances if balance.off]
    closings = [account.final_read for account in deviating[:20] if account.final_read]
    what = f"All {kind} plus all that was {'paid' if kind == 'credit' else 'sold'}"
    return Violation(
        name=f"{kind}-{'created' if off > 0 else 'destroyed'}",
        explanation=f"{what} is {abs(off)} {'more' if off > 0 else 'less'} than was deposited. "
        f"The balances that deviate: {abbreviate(account.name for account in deviating)}.\n"
        f"{list_operations(history, closings)}",
        evidence=tuple(closings),
        keys=tuple(account.name for account in deviating[:20]),
    )


def _negative(history: History) -> Iterator[Violation]:
    for account in history.derive(build_model).every_account():
        for read in account.reads:
            if (balance_in(read) or 0) < 0:
                yield _below_zero(history, account, read)
                break


def _below_zero(history: History, account: AccountModel, read: Operation) -> Violation:
    return Violation(
        name=f"negative-{account.holds}",
        explanation=f"The {account.holds} of {account.name} was read as {balance_in(read)}, below zero.\n"
        f"{list_operations(history, [read])}",
        evidence=(read,),
        keys=(account.name,),
    )
