"""When a service could be reached whole: the spans of time in which no node that it needs was away.

A node is away while it is not running, and while a fault holds it or cuts its links. A cut link takes both of its ends for
away, but not a store or the gateway at one end: their other links are there.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from harness.checkers.nodes import NOTICED_NS, Nodes, ends, names_in
from harness.history import History

TAKES_AWAY = frozenset({"crash", "pause", "partition", "loss", "delay", "slow", "disk-full", "power-cut", "lost-tail"})
"""Faults during which what they are aimed at may serve nobody. A death at a boundary is seen in the nodes themselves."""

EVERYTHING = ""
"""In the place of a node's name: a fault of which nobody knows what it was aimed at."""

Span = tuple[int, int]
"""(begin, end) in nanoseconds."""


class Away:
    """Use `history.derive(Away)`."""

    def __init__(self, history: History) -> None:
        self._nodes = history.derive(Nodes)
        self._instances = self._nodes.instances()
        found: dict[str, list[Span]] = {}
        for name, spans in self._nodes.not_running(history.end_ns):
            found[name] = [(begin - NOTICED_NS, end) for begin, end in spans]
        for start, end_ns in ends(history):
            if start.data.get("fault") in TAKES_AWAY:
                for name in self._taken(names_in(start, "aimed")):
                    found.setdefault(name, []).append((start.at_ns, end_ns))
        self._spans = {name: united(spans) for name, spans in found.items()}

    def able(self, services: Iterable[str], within: Span) -> list[Span]:
        """The parts of `within` in which an instance of each service, its store, and all that every request passes were
        there; a new part begins wherever any node goes away or comes back.
        """
        wanted = list(services)
        edges = {edge for spans in self._spans.values() for span in spans for edge in span}
        inner = sorted(edge for edge in edges if within[0] < edge < within[1])
        parts = pairwise([within[0], *inner, within[1]])
        return [part for part in parts if part[0] < part[1] and all(self._is_able(one, part[0]) for one in wanted)]

    def away(self, at_ns: int) -> list[str]:
        """The nodes that are away then."""
        return [name for name, spans in self._spans.items() if _covers(spans, at_ns)]

    def _is_able(self, service: str, at_ns: int) -> bool:
        gone = set(self.away(at_ns))
        if EVERYTHING in gone or gone.intersection(self._needed(service)):
            return False
        instances = self._instances.get(service, ())
        return not instances or any(name not in gone for name in instances)

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


def _covers(spans: Sequence[Span], at_ns: int) -> bool:
    return any(begin <= at_ns < end for begin, end in spans)
