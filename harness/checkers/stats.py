"""The number of operations, and whether the run tested anything at all."""

from collections import Counter
from typing import Any

from harness.checkers.claims import Exclusion
from harness.checkers.finding import Finding, conclude
from harness.checkers.rejections import completed_later
from harness.history import History, Outcome

EXCLUDED_BY: dict[str, Exclusion] = {}
OUTCOMES: tuple[Outcome, ...] = ("ok", "fail", "unknown")


def check(history: History) -> Finding:
    """Return unknown if a kind of operation was tried and never succeeded: such a run is no evidence.

    An accepted checkout succeeded if its order is paid at the end.
    """
    tally = Counter((operation.op, operation.outcome) for operation in history.operations)
    counts = {name: {outcome: tally[name, outcome] for outcome in OUTCOMES} for name, _ in tally}
    later = {
        operation.op
        for operation in history.operations
        if operation.op == "checkout" and completed_later(history, operation)
    }
    never = [name for name, by in counts.items() if not by["ok"] and name not in later]
    reasons = [f"no {name} succeeded, of {sum(counts[name].values())}" for name in never]
    if not counts:
        reasons.append("no operation was tried")
    return conclude((), reasons, {"operations": counts, **_load(history)})


def _load(history: History) -> dict[str, Any]:
    """Return the length of the load phase, or of the whole run without one, and its successes per second."""
    begin, heal, final = map(history.phase_ns, ("load", "heal", "final"))
    begin = history.start_ns if begin is None else begin
    end = final if heal is None else heal
    if end is None:
        end = max((operation.completed_ns for operation in history.operations), default=begin)
    span_s = (end - begin) / 1e9
    rates = Counter(
        operation.op
        for operation in history.operations
        if operation.outcome == "ok" and begin <= operation.invoked_ns and operation.completed_ns <= end
    )
    per_s = {name: round(count / span_s, 3) for name, count in rates.items()} if span_s > 0 else {}
    return {"load_s": span_s, "rate_per_s": per_s}
