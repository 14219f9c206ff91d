"""The impact of faults: a run is evidence only if its faults happened while operations ran.

A fault happened if it began and reached one of its targets: a node that was not down; a link between two nodes that
were up; for a failpoint, a process that died there and of no other fault. It met the operations that ran at some time
during it. A crash lasts until its nodes run again, a crash at a failpoint from each death on.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.checkers.nodes import NOTICED_NS, Death, Nodes, ends, names_in
from harness.history import Event, History

KILLS = frozenset({"crash", "restart", "lost-tail", "power-cut"})
CUTS_DOWN = frozenset({"lost-tail", "power-cut"})
"""Faults that also reach a store which is down: they change its log."""

KILLED_WITHIN_NS = 1_000_000_000
"""The longest time in nanoseconds from a kill to the death: a container engine is slow, a simulated process runs to
its next effect.
"""

AT_FAILPOINT = "crash-at"
PLANNED = "faults"
"""The key of the requested faults in the header's configuration."""


class Impact(NamedTuple):
    """The impact of one fault. `why_not` is empty if the fault happened; `met` counts operations."""

    fault: str
    target: str
    from_s: float
    met: int
    why_not: str = ""


def impacts(history: History) -> list[Impact]:
    """Return one impact for each fault that began, in order. Use `history.derive(impacts)`."""
    nodes, running = history.derive(Nodes), _RunningOperations(history)
    spans = list(ends(history))
    all_impacts = []
    for start, end_ns in spans:
        why, windows = _happened(nodes, spans, start, end_ns)
        met = 0 if why else running.during(windows)
        all_impacts.append(
            Impact(
                str(start.data.get("fault")),
                str(start.data.get("target") or "-"),
                (start.at_ns - history.start_ns) / 1e9,
                met,
                why,
            )
        )
    return all_impacts


def ineffective_faults(history: History) -> str:
    """Return why the faults of this run are no evidence: some were requested, and none happened or met an operation.
    Else "".
    """
    begun = history.derive(impacts)
    refused = history.of_kind("fault-refused")
    requested = history.header.config.get(PLANNED) or ()
    if any(impact.met for impact in begun) or not (begun or refused or requested):
        return ""
    if begun and not all(impact.why_not for impact in begun):
        return f"none of the {len(begun)} faults that happened met an operation"
    if begun:
        return f"none of the {len(begun) + len(refused)} faults happened: {begun[0].why_not}"
    if refused:
        return f"none of the {len(refused)} faults was injected: {refused[0].data.get('why')}"
    kinds = ", ".join(dict.fromkeys(str(fault.get("kind")) for fault in requested))
    return f"none of the planned faults was injected: the history has no event of any {kinds}"


def _happened(
    nodes: Nodes, spans: Sequence[tuple[Event, int]], start: Event, end_ns: int
) -> tuple[str, list[tuple[int, int]]]:
    """Return (why the fault did not happen, the windows in which it could meet operations)."""
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
        reached = [name for name in aimed if all(nodes.was_up(node, start.at_ns, end_ns) for node in name.split("->"))]
    elif kind in KILLS | {"pause"}:
        reached = [name for name in aimed if name not in down or kind in CUTS_DOWN]
    else:
        reached = [name for name in aimed if name not in down or nodes.was_up(name, start.at_ns, end_ns)]
    if not reached:
        return f"{', '.join(aimed)} was down", []
    return "", [(start.at_ns, _back(nodes, reached, start.at_ns) if kind in KILLS else end_ns)]


def _failpoint(start: Event) -> str:
    """Return the name of a failpoint; a drawn one is at the end of the event's text: `armed in order-1:
    order:after-do:open`.
    """
    given = (start.data.get("settings") or {}).get("failpoint")
    return str(given or str(start.data.get("said")).rpartition(": ")[2])


def _deaths_at(
    nodes: Nodes, spans: Sequence[tuple[Event, int]], start: Event, end_ns: int, failpoint: str
) -> list[Death]:
    """Return the deaths of the failpoint's service while it was armed, without those that another fault explains."""
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
    """Return the time at which all of the nodes ran again; a node that was never seen down counts as running."""
    return max((nodes.running_again(name, from_ns) for name in names), default=from_ns)


class _RunningOperations:
    """An index of the operations that ran during a window."""

    def __init__(self, history: History) -> None:
        self._begins = sorted(operation.invoked_ns for operation in history.operations)
        self._ends = sorted(operation.completed_ns for operation in history.operations)

    def during(self, windows: Sequence[tuple[int, int]]) -> int:
        """Return the largest number of operations that ran during one of the windows."""
        return max((self._in(*window) for window in windows), default=0)

    def _in(self, begin_ns: int, end_ns: int) -> int:
        # Those that began before its end, without those that ended before its begin.
        return bisect_right(self._begins, end_ns) - bisect_left(self._ends, begin_ns)


def figures(history: History) -> list[dict[str, Any]]:
    """Return the impacts as plain values."""
    return [impact._asdict() | {"happened": not impact.why_not} for impact in history.derive(impacts)]
