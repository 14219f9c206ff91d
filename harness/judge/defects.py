"""The defects that an examination can name, each with its severity and a sentence for somebody who wrote the shop."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from harness.history import Operation


class Severity(StrEnum):
    """The severity of a finding, the worst first."""

    LOST = "money or goods"
    PROMISE = "broken promise"
    STUCK = "stuck"
    SLOW = "slow"
    CONTRACT = "contract"


class Defect(msgspec.Struct, frozen=True):
    """A kind of defect. `title` is its name for readers, `advice` says where in a shop to look first."""

    severity: Severity
    title: str
    advice: str


DEFECTS: Mapping[str, Defect] = {
    "lost-update": Defect(
        Severity.LOST,
        "Lost update",
        "Two requests read the same balance and both wrote back: change it in one atomic command, or under a lock.",
    ),
    "oversell": Defect(
        Severity.LOST,
        "Oversell",
        "More pieces were sold than there were: check and take the stock in one atomic command.",
    ),
    "charge-without-paid": Defect(
        Severity.LOST,
        "Charge without paid",
        "Credit or stock is gone and the order is not paid: find the path that ends between the charge and `paid = true`.",
    ),
    "paid-without-charge": Defect(
        Severity.LOST,
        "Paid without charge",
        "The order is paid and its credit or stock is still there: find the call whose failure is ignored, for example a 502 "
        "counted as success.",
    ),
    "failure-counted-as-success": Defect(
        Severity.LOST,
        "502 counted as success",
        "A checkout was acknowledged though a call to another service had failed: treat every answer but a 2xx as a failure.",
    ),
    "checkout-not-idempotent": Defect(
        Severity.LOST,
        "Checkout not idempotent",
        "A repeated checkout of one order charged again: decide once for each order, and return the same answer afterwards.",
    ),
    "lost-compensation": Defect(
        Severity.LOST,
        "Lost compensation",
        "A rejected checkout kept a part of its effects: undo every step, and repeat the undo until it has succeeded.",
    ),
    "in-doubt-leak": Defect(
        Severity.STUCK,
        "Slow leak of in-doubt orders",
        "Checkouts without a certain answer kept credit or stock and never ended: finish or undo them after a restart.",
    ),
    "lock-outlives-holder": Defect(
        Severity.STUCK,
        "Lock that outlives its holder",
        "A user or an item can never be served again: give locks an end, or release them when their holder is gone.",
    ),
    "never-retried": Defect(
        Severity.PROMISE,
        "Failed order that can never be retried",
        "After credit or stock was added, the same order is still refused: a failed checkout has to leave the order as it was.",
    ),
    "refused-but-happened": Defect(
        Severity.PROMISE,
        "4xx for something that happened",
        "The client was told that nothing happened, and the order is paid: answer 5xx where the outcome is unknown.",
    ),
    "dirty-read": Defect(
        Severity.PROMISE,
        "Dirty read",
        "A read showed an effect of a checkout that was rejected later: hide effects until the decision, or claim no isolation "
        "(`--isolation read-uncommitted`).",
    ),
    "wrong-answer": Defect(
        Severity.PROMISE,
        "Answer to the wrong request",
        "An answer belongs to another request: look for shared variables or connections between concurrent requests.",
    ),
    "lost-over-kill": Defect(
        Severity.PROMISE,
        "No persistence over a kill",
        "Acknowledged data was gone after a kill: force it to disk before the answer, and keep the data in a volume.",
    ),
    "acknowledged-lost": Defect(
        Severity.PROMISE,
        "Acknowledged effect lost",
        "A success was answered and its effect is not there: write before you answer.",
    ),
    "negative-balance": Defect(
        Severity.LOST,
        "Negative balance",
        "A balance went below zero: check it in the same atomic command that takes from it.",
    ),
    "ids-reused": Defect(
        Severity.LOST,
        "Ids reused after a restart",
        "A new user, item or order got the id of an older one: ids have to stay unique over restarts and instances.",
    ),
    "unbalanced": Defect(
        Severity.LOST,
        "Balances do not add up",
        "Credit or stock appeared or vanished: compare the balances below with their deposits and paid orders.",
    ),
    "isolation-anomaly": Defect(
        Severity.PROMISE,
        "Isolation anomaly",
        "Reads and checkouts have no order that the claimed isolation allows: the cycle below shows the operations.",
    ),
    "stale-read": Defect(
        Severity.PROMISE,
        "Stale or impossible read",
        "A read after an acknowledged operation does not show it: read from where you write.",
    ),
    "paid-order-refused": Defect(
        Severity.CONTRACT,
        "Checkout of a paid order refused",
        "The contract says 200 without a charge: a client that repeats a lost answer has to learn that its order is paid.",
    ),
    "initialised-twice": Defect(
        Severity.CONTRACT,
        "Second initialisation ignored",
        "`batch_init` with the same ids was answered 200 and changed nothing: reset the records, or answer 4xx.",
    ),
    "contention-refused": Defect(
        Severity.PROMISE,
        "Contention answered with 4xx",
        "Concurrent checkouts of one item were refused while stock was left: wait or retry inside of the shop.",
    ),
    "never-settled": Defect(
        Severity.SLOW,
        "Not consistent in time",
        "The balances were still inconsistent after the settling time: look at the recovery after a restart.",
    ),
    "slow-recovery": Defect(
        Severity.SLOW,
        "Slow recovery",
        "No checkout succeeded for a long time after a kill: look at time-outs and reconnects.",
    ),
    "contract": Defect(
        Severity.CONTRACT,
        "Rule of the API broken",
        "Compare the request and the answer with the rule.",
    ),
}
"""Every defect by its name on the grade sheet, in `results.json` and in JUnit."""

ORDER = {severity: rank for rank, severity in enumerate(Severity)}


class DefectFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A defect that a part has shown. `concerns` are the orders, users and items, `evidence` the requests with their answers.

    `times` counts the cases, of which `explanation` tells the first. `history` is the file with all operations.
    `sure`: in at least one case, no other order would explain the balance as well.
    """

    defect: str
    explanation: str
    concerns: tuple[str, ...] = ()
    evidence: tuple[Operation, ...] = ()
    times: int = 1
    history: str = ""
    sure: bool = True

    @property
    def severity(self) -> Severity:
        return DEFECTS[self.defect].severity


def by_severity(findings: "list[DefectFinding] | tuple[DefectFinding, ...]") -> list[DefectFinding]:
    """Return findings with the worst first."""
    return sorted(findings, key=lambda finding: (ORDER[finding.severity], -finding.times))
