"""How much was done, and whether the run tested anything at all."""

from collections import Counter
from typing import Any

from harness.checkers.claims import Promise
from harness.checkers.finding import Finding, conclude
from harness.checkers.rejections import completed_later
from harness.history import History, Outcome

PROMISES: dict[str, Promise] = {}
OUTCOMES: tuple[Outcome, ...] = ("ok", "fail", "unknown")


def check(history: History) -> Finding:
    """Unknown if any kind of operation was tried and never succeeded: nothing is known of such a shop.

    A checkout that was accepted succeeded if its order is paid at the end.
    """
    tally = Counter((op.op, op.outcome) for op in history.operations)
    counts = {name: {outcome: tally[name, outcome] for outcome in OUTCOMES} for name, _ in tally}
    later = {each.op for each in history.operations if each.op == "checkout" and completed_later(history, each)}
    never = [name for name, by in counts.items() if not by["ok"] and name not in later]
    reasons = [f"no {name} succeeded, of {sum(counts[name].values())}" for name in never]
    if not counts:
        reasons.append("nothing was tried")
    return conclude((), reasons, {"operations": counts, **_load(history)})


def _load(history: History) -> dict[str, Any]:
    """Length of the load phase (of everything, if there is none) and successes per second in it."""
    begin, heal, final = map(history.phase_ns, ("load", "heal", "final"))
    begin = history.start_ns if begin is None else begin
    end = final if heal is None else heal
    if end is None:
        end = max((op.completed_ns for op in history.operations), default=begin)
    span_s = (end - begin) / 1e9
    rates = Counter(
        op.op for op in history.operations if op.outcome == "ok" and begin <= op.invoked_ns and op.completed_ns <= end
    )
    per_s = {name: round(count / span_s, 3) for name, count in rates.items()} if span_s > 0 else {}
    return {"load_s": span_s, "rate_per_s": per_s}
