"""The outcomes of the checkouts of a run, compared with the orders at its end."""

from collections import Counter
from typing import Any

import msgspec

from harness.history import History, Operation
from harness.metrics.measure import CHECKOUT


class Outcomes(msgspec.Struct, frozen=True, kw_only=True):
    """The number of checkouts by outcome (`answers`), and of orders that were paid at the end.

    `false_acknowledgements` counts the orders with the opposite answer: an acknowledgement of an unpaid order, or rejections
    only of a paid one. `unfinished` is the number of transactions in the last probe.
    """

    answers: dict[str, int]
    paid: int
    false_acknowledgements: int
    unfinished: int


def outcomes(history: History) -> Outcomes:
    """Count the outcomes of one run."""
    final_ns = history.phase_ns("final")
    reads = [] if final_ns is None else [read for read in history.operations if read.invoked_ns >= final_ns]
    paid = {str(read.args[0]): bool(read.value["paid"]) for read in reads if _is_order(read)}
    checkouts = [operation for operation in history.operations if operation.op == CHECKOUT]
    by_order: dict[str, set[str]] = {}
    for checkout in checkouts:
        by_order.setdefault(str(checkout.args[0]), set()).add(checkout.outcome)
    probes = history.of_kind("probe")
    return Outcomes(
        answers=dict(Counter(checkout.outcome for checkout in checkouts)),
        paid=sum(paid.values()),
        false_acknowledgements=sum(_is_false(by_order[order], paid[order]) for order in paid.keys() & by_order.keys()),
        unfinished=len(probes[-1].data.get("unfinished", ())) if probes else 0,
    )


def _is_order(read: Operation) -> bool:
    value: Any = read.value
    return read.op == "find_order" and read.outcome == "ok" and isinstance(value, dict) and "paid" in value


def _is_false(answers: set[str], paid: bool) -> bool:
    return ("ok" in answers and not paid) or (answers == {"fail"} and paid)
