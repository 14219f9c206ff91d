"""Recovery: quiescence within the claimed time after the heal; and the time for which each fault blocked operations.

A probe counts the unfinished records inside the shop: transactions in doubt, locks, fences, open transactions.
Once the bound that the protocol claims has passed since `healed`, all of these must be zero. A transaction that begins after
the heal, as that of a request which waited in a queue until then, has the same time from its begin: a probe counts apart, as
`overdue`, those whose time has passed. Older histories have no such count, and their probes have to be zero.
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
"""The counts of a probe, and the violation of each that is not zero after the bound."""

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
"""The longest time in nanoseconds after the bound at which a probe still counts as one at the bound."""

OVERDUE = "overdue"

EXCLUDED_BY = dict.fromkeys(LEFT.values(), BOUNDED)


def check(history: History) -> Finding:
    """Judge the probes after the last `healed`, and measure the time until each kind of operation succeeds after a
    fault.
    """
    healed = history.of_kind("healed")
    figures: dict[str, Any] = {"faults": blocked(history)}
    if not healed:
        return conclude((), ["the history has no heal of all faults"], figures)
    healed_ns = healed[-1].at_ns
    bound_s = history.header.claims.recovery_s
    probes = [probe for probe in history.of_kind("probe") if probe.at_ns >= healed_ns]
    bound_ns = healed_ns + int((bound_s or 0) * 1e9)
    left = _left([probe for probe in probes if probe.at_ns >= bound_ns])
    clean = next((probe for probe in probes if not _is_unfinished(probe)), None)
    figures["bound_s"] = bound_s
    figures["recovered_after_s"] = (clean.at_ns - healed_ns) / 1e9 if clean else None
    return conclude(
        (_left_over(history, healed_ns, *counted) for counted in left), _missing(probes, clean, bound_ns), figures
    )


def _missing(probes: Sequence[Event], clean: Event | None, bound_ns: int) -> list[str]:
    """Return the reason for which the probes after the heal prove no recovery, if there is one."""
    late = [probe for probe in probes if probe.at_ns >= bound_ns]
    if not probes:
        return ["no probe was taken after all faults were healed"]
    if not late:
        return [] if clean else ["transactions were unfinished, and no probe was taken after the bound had passed"]
    clean_in_time = clean is not None and clean.at_ns < bound_ns
    if not clean_in_time and not _left(late[:1]) and late[0].at_ns > bound_ns + GRACE_NS:
        return ["no probe was taken when the bound had passed"]
    if _is_unfinished(late[-1]) and not _left(late):
        return ["transactions that began after the heal were unfinished, and no probe was taken after their bound"]
    return []


def _is_unfinished(probe: Event) -> bool:
    return any(probe.data.get(name) for name in LEFT)


def _overdue(probe: Event, name: str) -> int:
    """Return the count of overdue transactions in a probe after the bound; in an older history all are."""
    return int(probe.data.get(OVERDUE, probe.data).get(name) or 0)


def _left(probes: Sequence[Event]) -> list[tuple[str, Event, Event]]:
    """Return (count, first and last probe) for each count of overdue transactions that is above zero in these probes."""
    unfinished = []
    for name in LEFT:
        dirty = [probe for probe in probes if _overdue(probe, name)]
        if dirty:
            unfinished.append((name, dirty[0], dirty[-1]))
    return unfinished


def _left_over(history: History, healed_ns: int, name: str, first: Event, last: Event) -> Violation:
    return Violation(
        name=LEFT[name],
        explanation=f"All faults were healed at {seconds(history, healed_ns)}. "
        f"{(first.at_ns - healed_ns) / 1e9:.1f} s later the shop had {_overdue(first, name)} {NOUNS[name]}, "
        f"{(last.at_ns - healed_ns) / 1e9:.1f} s later {_overdue(last, name)}{_named(last)}; "
        f"there should be none after {history.header.claims.recovery_s} s, counted from the begin of those that began later.",
        keys=(name,),
    )


def _named(probe: Event) -> str:
    """Return the first unfinished transactions of a probe in words; empty for a history whose probes name none."""
    unfinished = probe.data.get("unfinished") or []
    more = f" and {len(unfinished) - NAMED} more" if len(unfinished) > NAMED else ""
    return f" (unfinished: {', '.join(map(str, unfinished[:NAMED]))}{more})" if unfinished else ""


def blocked(history: History) -> list[dict[str, Any]]:
    """Return for each fault the seconds from its start, and from its end, to the first success that began afterwards.

    By kind of operation; None without a further success. A fault without an end of its own ends at the heal.
    """
    faults = history.derive(known_ends)
    successes = _successes(history) if faults else {}
    blocks = []
    for start, end_ns in faults:
        blocks.append(
            {
                "fault": start.data.get("fault"),
                "target": start.data.get("target"),
                "from_s": (start.at_ns - history.start_ns) / 1e9,
                "lasted_s": None if end_ns is None else (end_ns - start.at_ns) / 1e9,
                "from_start_s": _waits(successes, start.at_ns),
                "from_end_s": None if end_ns is None else _waits(successes, end_ns),
            }
        )
    return blocks


def _successes(history: History) -> dict[str, tuple[list[int], list[int]]]:
    """Return by operation the begins of its successes in order, and the earliest end among each and its followers.

    The suffix minimum makes each question one binary search: the first success to begin need not be the first to end.
    """
    times: dict[str, list[tuple[int, int]]] = {}
    for operation in history.operations:
        if operation.outcome == "ok":
            times.setdefault(operation.op, []).append((operation.invoked_ns, operation.completed_ns))
    successes = {}
    for name, spans in times.items():
        spans.sort()
        earliest = list(accumulate((end for _, end in reversed(spans)), min))[::-1]
        successes[name] = ([begin for begin, _ in spans], earliest)
    return successes


def _waits(successes: dict[str, tuple[list[int], list[int]]], from_ns: int) -> dict[str, float | None]:
    waits: dict[str, float | None] = {}
    for name, (begins, earliest) in successes.items():
        first = bisect_left(begins, from_ns)
        waits[name] = (earliest[first] - from_ns) / 1e9 if first < len(begins) else None
    return waits
