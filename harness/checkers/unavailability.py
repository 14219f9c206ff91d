"""When services were there: the spans of time in which each had an instance, its store, and the way to it.

A node is down while it does not run: who calls it is refused, and turns to another instance. It is silent while it is paused or
its links are cut: it is still given its share, and what it is given waits for it. A cut link takes its ends for silent, but not
a store or the gateway at one end: their other links are there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from harness.checkers.nodes import NOTICED_NS, Nodes, ends, names_in
from harness.history import History

DOWN = frozenset({"crash", "power-cut", "lost-tail"})
SILENT = frozenset({"pause", "partition", "loss", "delay", "slow", "disk-full"})
"""Faults during which what they are aimed at may serve nobody. A death at a failpoint is seen in the nodes themselves."""

EVERYTHING = ""
"""In the place of a node's name: a fault of which nobody knows what it was aimed at."""

Span = tuple[int, int]
"""(begin, end) in nanoseconds."""


class Unavailability:
    """Use `history.derive(Unavailability)`."""

    def __init__(self, history: History) -> None:
        self._nodes = history.derive(Nodes)
        self._instances = self._nodes.instances()
        down: dict[str, list[Span]] = {}
        silent: dict[str, list[Span]] = {}
        for name, state, (begin, end) in self._nodes.not_running(history.end_ns):
            into = silent if state == "paused" else down
            into.setdefault(name, []).append((begin - NOTICED_NS, end))
        for start, end_ns in ends(history):
            kind = start.data.get("fault")
            for name in self._taken(names_in(start, "aimed")) if kind in DOWN | SILENT else ():
                (down if kind in DOWN else silent).setdefault(name, []).append((start.at_ns, end_ns))
        self._down = {name: united(spans) for name, spans in down.items()}
        self._silent = {name: united(spans) for name, spans in silent.items()}
        self._known: dict[int, tuple[list[str], list[str]]] = {}

    def parts(self, within: Span) -> Iterator[Span]:
        """`within` in parts: a new one begins wherever a node goes away or comes back."""
        both = (*self._down.values(), *self._silent.values())
        edges = {edge for spans in both for span in spans for edge in span}
        inner = sorted(edge for edge in edges if within[0] < edge < within[1])
        return (part for part in pairwise([within[0], *inner, within[1]]) if part[0] < part[1])

    def away(self, at_ns: int) -> list[str]:
        """The nodes that are down or silent then."""
        down, silent = self._gone(at_ns)
        return list(dict.fromkeys((*down, *silent)))

    def is_there(self, service: str, at_ns: int) -> bool:
        """Whether it has an instance and all that this needs."""
        gone = set(self.away(at_ns))
        if EVERYTHING in gone or gone.intersection(self._needed(service)):
            return False
        instances = self._instances.get(service, ())
        return not instances or any(name not in gone for name in instances)

    def is_whole(self, service: str, at_ns: int) -> bool:
        """Whether it is there, and none of its instances silent: nothing that it is given waits for one."""
        silent = self._gone(at_ns)[1]
        return self.is_there(service, at_ns) and not any(name in silent for name in self._instances.get(service, ()))

    def _gone(self, at_ns: int) -> tuple[list[str], list[str]]:
        """(down, silent); several checkers and services ask about the same moments."""
        if at_ns not in self._known:
            self._known[at_ns] = (_at(self._down, at_ns), _at(self._silent, at_ns))
        return self._known[at_ns]

    def _needed(self, service: str) -> Iterable[str]:
        """What has no second, but for the stores of others; without a store of its own, the one that is shared."""
        others = self._nodes.others()
        own = f"{service}-store"
        return [name for name in others if name == own or not name.endswith("-store") or own not in others]

    def _taken(self, aimed: Sequence[str]) -> Iterable[str]:
        if not aimed:
            return [EVERYTHING]
        known = {name for several in self._instances.values() for name in several}
        found: list[str] = []
        for name in aimed:
            both = name.split("->")
            found += [one for one in both if one in known] or both
        return dict.fromkeys(found)


def united(spans: Iterable[Span]) -> list[Span]:
    """The same time in spans that do not touch, in order."""
    found: list[Span] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((begin, end))
    return found


def _at(spans: Mapping[str, Sequence[Span]], at_ns: int) -> list[str]:
    return [name for name, several in spans.items() if any(begin <= at_ns < end for begin, end in several)]
