"""Which faults happened, and whether they met anything: a fault that was asked for proves nothing by having been
asked for.

A fault happened if it began and reached what it was aimed at: of nodes, one that was not down; of links, one between
two nodes that were up; of a failpoint, a process that died there, and of no other fault. It met the operations that
were under way at some time while it lasted; a crash lasts until its nodes run again, one at a failpoint from each
death.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.checkers.nodes import NOTICED_NS, Death, Nodes, ends, names_in
from harness.history import Event, History

KILLS = frozenset({"crash", "lost-tail", "power-cut"})
CUTS_DOWN = frozenset({"lost-tail", "power-cut"})
"""Faults that reach a store which is down as well: its log."""

KILLED_WITHIN_NS = 1_000_000_000
"""An engine of containers takes its time to kill one, and a simulated process goes on to its next effect."""

AT_FAILPOINT = "crash-at"
ASKED = "faults"
"""In the header's configuration: what was to be injected."""


class Impact(NamedTuple):
    """`why_not` is empty for a fault that happened; `met` counts operations."""

    fault: str
    target: str
    from_s: float
    met: int
    why_not: str = ""


def impacts(history: History) -> list[Impact]:
    """One for each fault that began, in order. Use `history.derive(impacts)`."""
    nodes, under_way = history.derive(Nodes), _UnderWay(history)
    spans = list(ends(history))
    found = []
    for start, end_ns in spans:
        why, windows = _happened(nodes, spans, start, end_ns)
        met = 0 if why else under_way.during(windows)
        found.append(
            Impact(
                str(start.data.get("fault")),
                str(start.data.get("target") or "-"),
                (start.at_ns - history.start_ns) / 1e9,
                met,
                why,
            )
        )
    return found


def ineffective_faults(history: History) -> str:
    """Why the faults of this run prove nothing: some were asked for, and none happened or met anything. Else empty."""
    begun = history.derive(impacts)
    refused = history.of_kind("fault-refused")
    asked = history.header.config.get(ASKED) or ()
    if any(each.met for each in begun) or not (begun or refused or asked):
        return ""
    if begun and not all(each.why_not for each in begun):
        return f"none of the {len(begun)} faults that happened met an operation"
    if begun:
        return f"none of the {len(begun) + len(refused)} faults happened: {begun[0].why_not}"
    if refused:
        return f"none of the {len(refused)} faults was injected: {refused[0].data.get('why')}"
    kinds = ", ".join(dict.fromkeys(str(each.get("kind")) for each in asked))
    return f"none of the planned faults was injected: the history has no event of any {kinds}"


def _happened(
    nodes: Nodes, spans: Sequence[tuple[Event, int]], start: Event, end_ns: int
) -> tuple[str, list[tuple[int, int]]]:
    """Why it did not, or when it could meet anything."""
    kind, aimed = start.data.get("fault"), names_in(start, "aimed")
    if kind == AT_FAILPOINT:
        failpoint = _failpoint(start)
        deaths = _deaths_at(nodes, spans, start, end_ns, failpoint)
        windows = [(death.at_ns - NOTICED_NS, _back(nodes, [death.node], death.at_ns)) for death in deaths]
        return ("" if deaths else f"no process passed {failpoint}"), windows
    if not aimed:
        return "", [(start.at_ns, end_ns)]
    links = any("->" in name for name in aimed)
    down = set(names_in(start, "down"))
    if links:
        reached = [name for name in aimed if all(nodes.was_up(one, start.at_ns, end_ns) for one in name.split("->"))]
    elif kind in KILLS | {"pause"}:
        reached = [name for name in aimed if name not in down or kind in CUTS_DOWN]
    else:
        reached = [name for name in aimed if name not in down or nodes.was_up(name, start.at_ns, end_ns)]
    if not reached:
        return f"{', '.join(aimed)} was down", []
    return "", [(start.at_ns, _back(nodes, reached, start.at_ns) if kind in KILLS else end_ns)]


def _failpoint(start: Event) -> str:
    """Its name; one that was drawn is in what the fault had to say: `armed in order-1: order:after-do:open`."""
    given = (start.data.get("settings") or {}).get("failpoint")
    return str(given or str(start.data.get("said")).rpartition(": ")[2])


def _deaths_at(
    nodes: Nodes, spans: Sequence[tuple[Event, int]], start: Event, end_ns: int, failpoint: str
) -> list[Death]:
    """Of processes of the failpoint's service while it was armed, but for those that another fault explains."""
    mine = re.compile(rf"{re.escape(failpoint.partition(':')[0])}-\d+")
    aimed = names_in(start, "aimed")
    killed = [
        (other.at_ns, name)
        for other, _ in spans
        if other.data.get("fault") in KILLS
        for name in names_in(other, "aimed")
        if name not in names_in(other, "down")
    ]
    return [
        death
        for death in nodes.deaths
        if start.at_ns <= death.at_ns <= end_ns + NOTICED_NS
        and mine.fullmatch(death.node)
        and (not aimed or death.node in aimed)
        and not any(name == death.node and at_ns <= death.at_ns <= at_ns + KILLED_WITHIN_NS for at_ns, name in killed)
    ]


def _back(nodes: Nodes, names: Sequence[str], from_ns: int) -> int:
    """When all of them had been seen running again; at once for those that were never seen otherwise."""
    return max((nodes.running_again(name, from_ns) for name in names), default=from_ns)


class _UnderWay:
    """How many operations were under way during spans of time."""

    def __init__(self, history: History) -> None:
        self._begins = sorted(operation.invoked_ns for operation in history.operations)
        self._ends = sorted(operation.completed_ns for operation in history.operations)

    def during(self, windows: Sequence[tuple[int, int]]) -> int:
        """Of each window all that began before its end but those that were over before its begin; the most of any
        window.
        """
        return max((self._in(*window) for window in windows), default=0)

    def _in(self, begin_ns: int, end_ns: int) -> int:
        return bisect_right(self._begins, end_ns) - bisect_left(self._ends, begin_ns)


def figures(history: History) -> list[dict[str, Any]]:
    """As plain values, for a document."""
    return [each._asdict() | {"happened": not each.why_not} for each in history.derive(impacts)]
