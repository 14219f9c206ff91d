"""The availability of services: the spans in which each had an instance, its store, and the links to it.

A node is down while it does not run: connections to it are refused, and callers use another instance. A node is
silent while it is paused or its links are cut: it still gets its share of the requests, and these wait for it. A cut
link counts its instances as silent, but not a store or the gateway at one end, whose other links work.
"""

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from harness.checkers.nodes import NOTICED_NS, Nodes, ends, names_in
from harness.history import History

DOWN = frozenset({"crash", "power-cut", "lost-tail", "empty-restart"})
SILENT = frozenset({"pause", "partition", "loss", "delay", "slow", "disk-full", "stale-primary"})
"""Faults during which their targets may serve no request. A death at a failpoint shows in the `node` events instead."""

ANY_NODE = ""
"""The name in place of a node's for a fault with an unknown target."""

ELECTOR = re.compile(r"elector|(?:sentinel|voter)-\d+")
COPY = re.compile(r"(.+-store)-\d+")
"""The name of a server of a store with copies, with the name of the store."""

Span = tuple[int, int]
"""(begin, end) in nanoseconds."""


class Unavailability:
    """The unavailable nodes of a history over time. Use `history.derive(Unavailability)`."""

    def __init__(self, history: History) -> None:
        self._nodes = history.derive(Nodes)
        self._instances = self._nodes.instances()
        others = self._nodes.others()
        self._gateways = [name for name in others if name.startswith("gateway-")]  # of several
        self._electors = [name for name in others if ELECTOR.fullmatch(name)]
        self._brokers = [name for name in others if name.startswith("broker-")]
        self._servers: dict[str, list[str]] = {}
        for name in others:
            if copy := COPY.fullmatch(name):
                self._servers.setdefault(copy[1], []).append(name)
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
        """Return the parts of the span `within` between changes: a new one begins wherever a node fails or returns."""
        both = (*self._down.values(), *self._silent.values())
        edges = {edge for spans in both for span in spans for edge in span}
        inner = sorted(edge for edge in edges if within[0] < edge < within[1])
        return (part for part in pairwise([within[0], *inner, within[1]]) if part[0] < part[1])

    def unavailable_nodes(self, at_ns: int) -> list[str]:
        """Return the nodes that are down or silent at a time."""
        down, silent = self._unavailable(at_ns)
        return list(dict.fromkeys((*down, *silent)))

    def is_available(self, service: str, at_ns: int) -> bool:
        """Whether a service has a running instance and a running gateway, and every other node that it needs runs.

        A majority of the nodes is enough of a broker that has several.
        """
        unavailable = set(self.unavailable_nodes(at_ns))
        if ANY_NODE in unavailable or unavailable.intersection(self._needed(service)):
            return False
        if not self._serves(self._own(service, self._servers), unavailable):
            return False
        if 2 * sum(name in unavailable for name in self._brokers) > len(self._brokers):
            return False
        replicated = (self._instances.get(service, ()), self._gateways)
        return all(not names or any(name not in unavailable for name in names) for names in replicated)

    def _serves(self, stores: Iterable[str], unavailable: Container[str]) -> bool:
        """Whether each store with copies has a majority of its servers, and most electors if one of them is missing."""
        missing = [sum(name in unavailable for name in self._servers[store]) for store in stores]
        elects = 2 * sum(name in unavailable for name in self._electors) < max(1, len(self._electors))
        return all(not gone or (gone == 1 and elects) for gone in missing)

    def is_fully_available(self, service: str, at_ns: int) -> bool:
        """Whether a service is available and none of its instances is silent: no request to it waits for a silent one."""
        silent = self._unavailable(at_ns)[1]
        return self.is_available(service, at_ns) and not any(
            name in silent for name in self._instances.get(service, ())
        )

    def _unavailable(self, at_ns: int) -> tuple[list[str], list[str]]:
        """Return (down, silent). Kept, since several checkers and services look up the same moments."""
        if at_ns not in self._known:
            self._known[at_ns] = (_at(self._down, at_ns), _at(self._silent, at_ns))
        return self._known[at_ns]

    def _needed(self, service: str) -> Iterable[str]:
        """Return the nodes without a replica that a service needs: its own store or the shared one, broker and gateway."""
        replicated = {
            *self._gateways,
            *self._brokers,
            *self._electors,
            *(name for names in self._servers.values() for name in names),
        }
        others = [name for name in self._nodes.others() if name not in replicated]
        stores = self._own(service, [name for name in others if name.endswith("-store")])
        return [name for name in others if not name.endswith("-store") or name in stores]

    @staticmethod
    def _own(service: str, stores: Collection[str]) -> Collection[str]:
        """Return the store of a service out of all, or all if the service has none of its own."""
        own = f"{service}-store"
        return [own] if own in stores else stores

    def _taken(self, aimed: Sequence[str]) -> Iterable[str]:
        """Return the nodes that a fault with these targets makes unavailable. Of a link `a->b` they are its instances."""
        if not aimed:
            return [ANY_NODE]
        known = {name for names in self._instances.values() for name in names}
        taken: list[str] = []
        for name in aimed:
            ends_of_link = name.split("->")
            taken += [node for node in ends_of_link if node in known] or ends_of_link
        return dict.fromkeys(taken)


def united(spans: Iterable[Span]) -> list[Span]:
    """Return the union of spans as disjoint spans in order."""
    union: list[Span] = []
    for begin, end in sorted(spans):
        if union and begin <= union[-1][1]:
            union[-1] = (union[-1][0], max(union[-1][1], end))
        else:
            union.append((begin, end))
    return union


def _at(spans: Mapping[str, Sequence[Span]], at_ns: int) -> list[str]:
    return [name for name, own in spans.items() if any(begin <= at_ns < end for begin, end in own)]
