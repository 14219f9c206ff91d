"""The nodes of a run over time: their states, their deaths, and the targets of faults.

`node` events come from a poll every tenth of a second, so a death is recorded a little after it happened.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from harness.history import Event, History

NOTICED_NS = 200_000_000
"""The longest time in nanoseconds from a death to the poll that records it."""


class Death(NamedTuple):
    """A death of a node, at the time of the poll that saw it."""

    at_ns: int
    node: str


class Nodes:
    """The states of all nodes; `deaths` in the order of time. Use `history.derive(Nodes)`."""

    def __init__(self, history: History) -> None:
        self._states: dict[str, list[tuple[int, str]]] = {}
        self._services: dict[str, str] = {}
        self.deaths: list[Death] = []
        pids: dict[str, object] = {}
        for event in history.of_kind("node"):
            name, state, pid = str(event.data.get("name")), str(event.data.get("state")), event.data.get("pid")
            former = pids.get(name)
            died = state == "down" and self.state(name, event.at_ns) != "down"
            if died or (pid is not None and former is not None and pid != former):
                self.deaths.append(Death(event.at_ns, name))
            pids[name] = pid
            self._states.setdefault(name, []).append((event.at_ns, state))
            self._services[name] = service_of(event)

    def state(self, name: str, at_ns: int) -> str:
        """Return the last recorded state of a node at a time; empty for a node without one."""
        seen = self._states.get(name, [])
        before = bisect_right(seen, at_ns, key=lambda change: change[0])
        return seen[before - 1][1] if before else ""

    def changes(self) -> list[int]:
        """Return every time at which a node's recorded state changed."""
        return sorted({at_ns for seen in self._states.values() for at_ns, _ in seen})

    def was_up(self, name: str, begin_ns: int, end_ns: int) -> bool:
        """Whether a node was not down at some time from `begin_ns` to `end_ns`. A node without a record counts as up."""
        seen = self._states.get(name, [])
        later = any(begin_ns <= at_ns <= end_ns and state != "down" for at_ns, state in seen)
        return later or self.state(name, begin_ns) != "down"

    def running_again(self, name: str, from_ns: int) -> int:
        """Return the first time after `from_ns` at which a node was recorded as running after another state.

        For a node that was always running it is the end of the time in which a death would have been recorded.
        """
        since = [(at_ns, state) for at_ns, state in self._states.get(name, ()) if at_ns >= from_ns]
        away = next((number for number, (_, state) in enumerate(since) if state != "running"), None)
        if away is None:
            return from_ns + NOTICED_NS
        return next((at_ns for at_ns, state in since[away:] if state == "running"), since[-1][0])

    def not_running(self, end_ns: int) -> Iterator[tuple[str, str, tuple[int, int]]]:
        """Yield (node, state, span) for each span in which a node was recorded as not running."""
        for name, seen in self._states.items():
            until = [at_ns for at_ns, _ in seen[1:]] + [end_ns]
            for (at_ns, state), end in zip(seen, until, strict=True):
                if state != "running":
                    yield name, state, (at_ns, end)

    def instances(self) -> dict[str, list[str]]:
        """Return the names of the processes by service."""
        by_service: dict[str, list[str]] = {}
        for name, service in self._services.items():
            if service:
                by_service.setdefault(service, []).append(name)
        return by_service

    def others(self) -> list[str]:
        """Return the nodes without a replica: stores, broker, gateway."""
        return [name for name, service in self._services.items() if not service]


def service_of(event: Event) -> str:
    """Return the service of the instance in a `node` event; empty for a node of no service."""
    data = event.data
    if "kind" in data:
        return str(data.get("service")) if data["kind"] == "service" else ""
    service, dash, number = str(data.get("name")).rpartition("-")
    return service if dash and number.isdigit() else ""


def ends(history: History) -> Iterator[tuple[Event, int]]:
    """Yield each `fault-start` with the end of the fault: its own, the heal, or the end of the history."""
    for start, end_ns in history.derive(known_ends):
        yield start, history.end_ns if end_ns is None else end_ns


def known_ends(history: History) -> list[tuple[Event, int | None]]:
    """Return each `fault-start` with its end or the heal, whichever came first; None without either. Use
    `history.derive`.
    """
    over: dict[tuple[str, str], list[int]] = {}
    for end in history.of_kind("fault-end"):
        over.setdefault(_which(end), []).append(end.at_ns)
    healed = sorted(event.at_ns for event in history.of_kind("healed"))
    with_ends = []
    for start in history.of_kind("fault-start"):
        own = sorted(over.get(_which(start), ()))
        with_ends.append((start, min((*_first(own, start.at_ns), *_first(healed, start.at_ns)), default=None)))
    return with_ends


def _which(event: Event) -> tuple[str, str]:
    return str(event.data.get("fault")), str(event.data.get("target"))


def _first(times: Sequence[int], from_ns: int) -> Sequence[int]:
    at = bisect_left(times, from_ns)
    return times[at : at + 1]


def names_in(event: Event, key: str) -> Sequence[str]:
    """Return the names under a key of an event."""
    names = event.data.get(key)
    return [str(name) for name in names] if isinstance(names, list | tuple) else ()
