"""After the heal nothing is left over; and how long each fault blocked whom.

A probe counts what is unfinished inside the shop: transactions in doubt, locks, fences, open transactions.
Once the bound that the protocol claims has passed since `healed`, all of these must be zero.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from harness.checkers.claims import BOUNDED
from harness.checkers.finding import Finding, Violation, conclude
from harness.checkers.formatting import seconds
from harness.checkers.nodes import known_ends
from harness.history import Event, History

LEFT = {
    "in_doubt": "left-in-doubt",
    "locks": "lock-left",
    "fences": "fence-left",
    "open": "transaction-left-open",
}
"""What a probe counts, and what it is called when it is left over."""

NOUNS = {
    "in_doubt": "transactions in doubt",
    "locks": "transactions with locks",
    "fences": "fences",
    "open": "open transactions",
}
"""The same in the words of a report."""

NAMED = 3
"""Unfinished transactions that a violation names."""

GRACE_NS = 1_000_000_000
"""A probe this much after the bound still tells how things were at the bound."""

PROMISES = dict.fromkeys(LEFT.values(), BOUNDED)


def check(history: History) -> Finding:
    """The probes after the last `healed`, and per fault the time until each kind of operation went again."""
    healed = history.of_kind("healed")
    figures: dict[str, Any] = {"faults": blocked(history)}
    if not healed:
        return conclude((), ["the history has no end of the faults"], figures)
    healed_ns = healed[-1].at_ns
    bound_s = history.header.claims.recovery_s
    probes = [probe for probe in history.of_kind("probe") if probe.at_ns >= healed_ns]
    bound_ns = healed_ns + int((bound_s or 0) * 1e9)
    late = [probe for probe in probes if probe.at_ns >= bound_ns]
    clean = next((probe for probe in probes if not any(probe.data.get(name) for name in LEFT)), None)
    figures["bound_s"] = bound_s
    figures["recovered_after_s"] = (clean.at_ns - healed_ns) / 1e9 if clean else None
    reasons = []
    if not probes:
        reasons.append("no probe looked into the shop after the heal")
    elif clean is None and not late:
        reasons.append("transactions were still unfinished, and no probe followed after the bound")
    elif clean and late[:1] == [clean] and clean.at_ns > bound_ns + GRACE_NS:
        reasons.append("no probe followed after the bound")
    return conclude((_left_over(history, healed_ns, *left) for left in _left(late)), reasons, figures)


def _left(probes: Sequence[Event]) -> list[tuple[str, Event, Event]]:
    """(what, first and last probe) for each thing which these probes found unfinished."""
    found = []
    for name in LEFT:
        dirty = [probe for probe in probes if probe.data.get(name)]
        if dirty:
            found.append((name, dirty[0], dirty[-1]))
    return found


def _left_over(history: History, healed_ns: int, name: str, first: Event, last: Event) -> Violation:
    return Violation(
        name=LEFT[name],
        explanation=f"All faults were healed at {seconds(history, healed_ns)}. "
        f"{(first.at_ns - healed_ns) / 1e9:.1f} s later the shop had {first.data[name]} {NOUNS[name]}, "
        f"{(last.at_ns - healed_ns) / 1e9:.1f} s later {last.data[name]}{_named(last)}; "
        f"there should be none after {history.header.claims.recovery_s} s.",
        keys=(name,),
    )


def _named(probe: Event) -> str:
    """Return the first unfinished transactions of a probe in words; empty for a history whose probes name none."""
    unfinished = probe.data.get("unfinished") or []
    more = f" and {len(unfinished) - NAMED} more" if len(unfinished) > NAMED else ""
    return f" (unfinished: {', '.join(map(str, unfinished[:NAMED]))}{more})" if unfinished else ""


def blocked(history: History) -> list[dict[str, Any]]:
    """Per fault, seconds from its start, and from its end, to the first success that began after that.

    Per kind of operation; None if none succeeded any more. A fault that never ended ends at the heal.
    """
    faults = history.derive(known_ends)
    successes = _successes(history) if faults else {}
    found = []
    for start, end_ns in faults:
        found.append(
            {
                "fault": start.data.get("fault"),
                "target": start.data.get("target"),
                "from_s": (start.at_ns - history.start_ns) / 1e9,
                "lasted_s": None if end_ns is None else (end_ns - start.at_ns) / 1e9,
                "from_start_s": _waits(successes, start.at_ns),
                "from_end_s": None if end_ns is None else _waits(successes, end_ns),
            }
        )
    return found


def _successes(history: History) -> dict[str, tuple[list[int], list[int]]]:
    """By operation: when each success began, in order, and the earliest end among it and its followers."""
    times: dict[str, list[tuple[int, int]]] = {}
    for op in history.operations:
        if op.outcome == "ok":
            times.setdefault(op.op, []).append((op.invoked_ns, op.completed_ns))
    found = {}
    for name, spans in times.items():
        spans.sort()
        earliest = list(accumulate((end for _, end in reversed(spans)), min))[::-1]
        found[name] = ([begin for begin, _ in spans], earliest)
    return found


def _waits(successes: dict[str, tuple[list[int], list[int]]], from_ns: int) -> dict[str, float | None]:
    waits: dict[str, float | None] = {}
    for name, (begins, earliest) in successes.items():
        first = bisect_left(begins, from_ns)
        waits[name] = (earliest[first] - from_ns) / 1e9 if first < len(begins) else None
    return waits
