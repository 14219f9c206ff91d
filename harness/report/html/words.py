"""Verdicts, violations and times in plain sentences, for readers without experience of this tool."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from harness.checkers import Judgement, Verdict, Violation
from harness.history import History, Operation
from harness.report.html.charts.frame import target
from harness.report.runs import Run

LONG_ID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{8,}\b")
ANSWERS_OF_CLIENTS = re.compile(r" Its checkouts were answered: [^.]*\.")
NUMBER = re.compile(r"\b\d{5,}\b")
ANSWERED = {"ok": "was acknowledged", "fail": "was rejected", "unknown": "had no certain answer"}

PLAIN: Mapping[str, tuple[str, str]] = {
    "charged-but-unpaid": (
        "order lost money: it was charged and is not paid",
        "orders lost money: they were charged and are not paid",
    ),
    "taken-but-unpaid": (
        "order took goods from the stock and is not paid",
        "orders took goods from the stock and are not paid",
    ),
    "paid-but-not-charged": (
        "order counts as paid without a charge",
        "orders count as paid without a charge",
    ),
    "paid-but-not-taken": (
        "order counts as paid, and its goods are still in stock",
        "orders count as paid, and their goods are still in stock",
    ),
    "refused-but-paid": (
        "checkout was rejected, and its order is paid",
        "checkouts were rejected, and their orders are paid",
    ),
    "paid-without-checkout": ("order is paid without a checkout", "orders are paid without a checkout"),
    "charged-repeatedly": ("order was charged more than once", "orders were charged more than once"),
    "taken-repeatedly": ("order took its goods more than once", "orders took their goods more than once"),
    "refunded-without-charge": (
        "refund was paid without a charge",
        "refunds were paid without a charge",
    ),
    "returned-without-taking": (
        "return was booked for goods that no checkout took",
        "returns were booked for goods that no checkout took",
    ),
    "acknowledged-checkout-lost": (
        "checkout was acknowledged and is gone",
        "checkouts were acknowledged and are gone",
    ),
    "acknowledged-effect-lost": ("deposit was acknowledged and is gone", "deposits were acknowledged and are gone"),
    "credit-destroyed": ("sum does not add up: credit is gone", "sums do not add up: credit is gone"),
    "credit-created": (
        "sum does not add up: there is more credit than clients added",
        "sums do not add up: there is more credit than clients added",
    ),
    "stock-destroyed": ("sum does not add up: stock is gone", "sums do not add up: stock is gone"),
    "stock-created": (
        "sum does not add up: there is more stock than clients added",
        "sums do not add up: there is more stock than clients added",
    ),
    "negative-credit": ("balance was below zero", "balances were below zero"),
    "negative-stock": ("stock was below zero", "stocks were below zero"),
    "left-in-doubt": (
        "transaction was still in doubt long after the heal",
        "kinds of transactions were still in doubt long after the heal",
    ),
    "lock-left": (
        "lock was still held long after the heal",
        "kinds of locks were still held long after the heal",
    ),
    "transaction-left-open": (
        "transaction was still open long after the heal",
        "kinds of transactions were still open long after the heal",
    ),
    "request-failed": ("request failed", "requests failed"),
}
"""The texts for one violation of a name and for several; a name without texts stands for itself."""

ONE_ORDER = frozenset(list(PLAIN)[:10])
"""The violations that concern a single order."""

MARKS = {"holds": "✓", "violated": "✕", "unknown": "?"}


def but(not_judged: Iterable[str]) -> str:
    """Return the end of a headline that names the claims that nothing in the run could judge."""
    claims = list(dict.fromkeys(not_judged))
    return f", but nothing judged {listed(claims)}" if claims else ""


def headline(candidate: str, verdict: str, not_judged: Sequence[str] = ()) -> str:
    """Return the verdict on a candidate as a sentence."""
    match verdict:
        case Verdict.HOLDS:
            return f"{candidate} kept its claims{but(not_judged)}"
        case Verdict.VIOLATED:
            return f"{candidate} broke its claims"
        case _:
            return f"The run of {candidate} is inconclusive"


def lede(run: Run) -> str:
    """Describe the worst violation of a single order, with its time and faults; empty if there is none."""
    ranks = list(PLAIN)
    violations = [
        violation for result in run.judgement.results for violation in result.violated if violation.name in ONE_ORDER
    ]
    if not violations:
        return ""
    worst = min(violations, key=lambda violation: ranks.index(violation.name))
    order = next((key for key in worst.keys if key.startswith("order ")), "")
    attempts = [
        operation
        for operation in worst.evidence
        if operation.op == "checkout" and f"order {operation.args[0]}" == order
    ]
    times = " and ".join(f"{(attempt.invoked_ns - run.history.start_ns) / 1e9:.2f} s" for attempt in attempts[:3])
    when = f" It was checked out at {times} into the run." if times else ""
    return f"{first_line(worst)}{when} {meanwhile(run.history, run.measured.faults, attempts)}".strip()


def several(names: Mapping[str, str]) -> str:
    """Summarize the verdicts of several protocols in one sentence."""
    by = {
        kind: [name for name, verdict in names.items() if verdict == kind] for kind in ("holds", "violated", "unknown")
    }
    if not by["violated"] and not by["unknown"]:
        return f"{listed(by['holds'])} kept {'its' if len(names) == 1 else 'their'} claims"
    parts = []
    if by["violated"]:
        parts.append(f"{listed(by['violated'])} broke {'its' if len(by['violated']) == 1 else 'their'} claims")
    if by["holds"]:
        parts.append(f"{listed(by['holds'])} kept {'its' if len(by['holds']) == 1 else 'their'} claims")
    if by["unknown"]:
        parts.append(f"the runs of {listed(by['unknown'])} are inconclusive")
    words = "; ".join(parts)
    return words[0].upper() + words[1:] if parts and parts[0].startswith("the runs") else words


def counts(judgement: Judgement) -> list[str]:
    """Return a sentence for each name of a violated claim, with the number of its violations."""
    totals: Counter[str] = Counter()
    for result in judgement.results:
        figures = result.finding.figures.get("violations") or {}
        for name in dict.fromkeys(violation.name for violation in result.violated):
            totals[name] += figures.get(name, 0)
    ranks = list(PLAIN)
    known = sorted(totals, key=lambda name: ranks.index(name) if name in ranks else len(ranks))
    return [sentence(name, totals[name]) for name in known]


def sentence(name: str, count: int) -> str:
    """Describe so many violations of a name."""
    singular, plural = PLAIN.get(name, (name, name))
    return f"{count} {singular if count == 1 else plural}"


def shortened(text: str) -> str:
    """Shorten long ids to their first eight characters."""
    return LONG_ID.sub(r"\1", text)


def listed(names: Iterable[str]) -> str:
    """Join names: `a`, `a and b`, `a, b and c`."""
    items = list(names)
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}" if items else "none"


def first_line(violation: Violation) -> str:
    """Return the first sentence of a violation, without its steps and answers, which a page shows with their times."""
    words = ANSWERS_OF_CLIENTS.sub("", shortened(violation.explanation.partition("\n")[0]))
    words = NUMBER.sub(lambda match: f"{int(match[0]):,}", words)
    return words[:1].upper() + words[1:]


def describe_attempts(history: History, attempts: Iterable[Operation]) -> list[str]:
    """Describe the checkouts of an order, with their times and answers."""
    sentences = []
    for number, attempt in enumerate(attempts):
        at_s = (attempt.invoked_ns - history.start_ns) / 1e9
        took_s = (attempt.completed_ns - attempt.invoked_ns) / 1e9
        took = f"{took_s * 1000:.0f} ms" if took_s < 1 else f"{took_s:.1f} s"
        again = ", once more" if number else ""
        sentences.append(
            f"At {at_s:.2f} s its client sent a checkout{again}, which {ANSWERED[attempt.outcome]} after {took}."
        )
    return sentences


def meanwhile(history: History, faults: Iterable[Mapping[str, object]], attempts: Iterable[Operation]) -> str:
    """Name the faults during these attempts, or just before them; empty if there were none."""
    active = []
    for attempt in attempts:
        begin, end = ((at - history.start_ns) / 1e9 for at in (attempt.invoked_ns, attempt.completed_ns))
        for fault in faults:
            from_s, lasted_s = float(str(fault["from_s"])), fault["lasted_s"]
            until_s = None if lasted_s is None else from_s + float(str(lasted_s))
            if from_s <= end and (until_s is None or until_s >= begin - 1.0):
                span = f"from {from_s:.2f} s" + (f" to {until_s:.2f} s" if until_s is not None else " on")
                active.append(f"{fault['fault']} of {target(dict(fault))} ({span})")
    return f"Meanwhile: {listed(dict.fromkeys(active))}." if active else ""
