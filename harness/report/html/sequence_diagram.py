"""One checkout as a story: what its client asked and heard, what services said to each other and to their stores, and
what broke.

Everything comes from the history and from the steps that services noted (`harness.history.spans`). A step that is
missing, because its writer was killed before it could tell, is missing here.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Literal

from harness.history import Event, Operation
from harness.history.spans import Span
from harness.report.runs import Run
from harness.report.text import last_words

CLIENT = "client"
MOST_ENTRIES = 56
EXAMPLES = 60
"""Among so many an example is looked for."""

AROUND_NS = 250_000_000
NOTICED_NS = 500_000_000
DIED_WITHIN_NS = 1_500_000_000
TO_NODES = {
    "crash": "is killed",
    "pause": "is frozen",
    "power-cut": "loses power",
    "lost-tail": "is killed and loses the end of its log",
}
"""Faults whose end is told by the node that runs again."""
SERVICES = ("order", "stock", "payment")
ANSWERS = {"ok": "acknowledged", "fail": "rejected", "unknown": "no answer"}

Kind = Literal["message", "lost", "store", "client", "note", "fault"]


@dataclass(frozen=True, slots=True)
class SequenceEntry:
    """One line of the story. `took_ms` of a store's answer; `forced`: somebody waited until it was durable."""

    kind: Kind
    at_ns: int
    source: str
    target: str
    words: str
    took_ms: float | None = None
    forced: bool = False


@dataclass(frozen=True)
class SequenceDiagram:
    """`order` and `attempts` say whose it is; `left_out` beats were too many to draw."""

    order: str
    attempts: tuple[Operation, ...]
    nodes: tuple[str, ...]
    entries: tuple[SequenceEntry, ...]
    left_out: int = 0
    start_ns: int = 0

    @property
    def disturbed(self) -> bool:
        return any(entry.kind == "fault" for entry in self.entries)


@dataclass
class SequenceIndex:
    """The stories of one run. Indexes once what all of them need."""

    run: Run
    _steps: dict[str, list[Span]] = field(default_factory=lambda: defaultdict(list))
    _txns: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    _attempts: dict[str, list[Operation]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for step in self.run.steps:
            self._steps[step.txn].append(step)
            if step.what == "start" and step.txn not in self._txns[step.detail]:
                self._txns[step.detail].append(step.txn)
        for operation in self.run.history.operations:
            if operation.op == "checkout":
                self._attempts[str(operation.args[0])].append(operation)
        self._faults = [
            event for event in self.run.history.events if event.kind in {"fault-start", "fault-end", "node"}
        ]
        self._times = [event.at_ns for event in self._faults]

    def diagram(self, order: str) -> SequenceDiagram | None:
        """None if nobody checked the order out."""
        attempts = tuple(sorted(self._attempts.get(order, ()), key=lambda each: each.invoked_ns))
        if not attempts:
            return None
        steps = sorted(
            (step for txn in self._txns.get(order, ()) for step in self._steps[txn]), key=lambda step: step.at_ns
        )
        nodes = _nodes(steps)
        entries = [*_clients(attempts, nodes), *_services(steps)]
        begin = min(entry.at_ns for entry in entries)
        end = max(entry.at_ns for entry in entries)
        entries += self._broken(begin - AROUND_NS, end, nodes)
        entries = [self._unheard(entry) for entry in entries]
        entries.sort(key=lambda entry: entry.at_ns)
        kept = _bounded(entries)
        start_ns = self.run.history.start_ns
        return SequenceDiagram(order, attempts, nodes, tuple(kept), len(entries) - len(kept), start_ns)

    def _unheard(self, entry: SequenceEntry) -> SequenceEntry:
        """What nobody waits for may be answered together with others': only where a node died meanwhile is it lost."""
        if entry.kind != "lost" or entry.forced or not entry.target.endswith("-store"):
            return entry
        later = self._faults[
            bisect_left(self._times, entry.at_ns) : bisect_right(self._times, entry.at_ns + DIED_WITHIN_NS)
        ]
        names = {entry.source, entry.target, service_of(entry.source)}
        died = any(names & {str(each.data.get("name")), str(each.data.get("target"))} for each in later)
        return entry if died else replace(entry, kind="store")

    def orders(self, outcome: str) -> Iterator[str]:
        """Those checked out once, with this outcome, of which steps were noted; in the order of time, under load."""
        load_ns = self.run.history.phase_ns("load") or 0
        for order, attempts in self._attempts.items():
            if (
                len(attempts) == 1
                and attempts[0].outcome == outcome
                and attempts[0].invoked_ns >= load_ns
                and self._txns.get(order)
            ):
                yield order

    def _broken(self, begin_ns: int, end_ns: int, nodes: Sequence[str]) -> Iterator[SequenceEntry]:
        for event in self._faults[bisect_left(self._times, begin_ns) : bisect_right(self._times, end_ns)]:
            words = self._fault(event, nodes)
            if words:
                where = _column(str(event.data.get("name") or event.data.get("target") or ""), nodes)
                yield SequenceEntry("fault", event.at_ns, where, where, words)

    def _fault(self, event: Event, nodes: Sequence[str]) -> str:
        """What broke, in words; nothing of nodes that have no part in this, or that was told already."""
        kind, target = str(event.data.get("fault")), str(event.data.get("target"))
        if event.kind == "fault-start" and kind in TO_NODES:
            return f"{target} {TO_NODES[kind]}"
        if event.kind != "node":
            return "" if kind in TO_NODES else last_words(event)
        name, state = str(event.data.get("name")), str(event.data.get("state"))
        if name not in nodes or (state != "running" and self._told(event, name)):
            return ""
        return {"down": f"{name} is dead", "paused": f"{name} is frozen", "running": f"{name} runs"}.get(state, "")

    def _told(self, event: Event, name: str) -> bool:
        """Whether a fault that began just before says why this node is not running."""
        before = self._faults[
            bisect_left(self._times, event.at_ns - NOTICED_NS) : bisect_right(self._times, event.at_ns)
        ]
        targets = {str(each.data.get("target")) for each in before if each.kind == "fault-start"}
        return bool(targets & {name, service_of(name) if not name.endswith("-store") else name})


def examples(index: SequenceIndex) -> dict[str, SequenceDiagram]:
    """One checkout that went well, and one that was refused after something of it had been done and was undone."""
    found: dict[str, SequenceDiagram] = {}
    for outcome, most in (("ok", False), ("fail", True)):
        diagrams: list[SequenceDiagram] = []
        for order in islice(index.orders(outcome), EXAMPLES):
            told = index.diagram(order)
            if told and not told.left_out and len(told.nodes) > 1:
                diagrams.append(told)
        diagrams.sort(key=lambda each: len(each.entries))
        plain = [each for each in diagrams if not each.disturbed] or diagrams
        if plain:
            found[outcome] = plain[-1] if most else plain[len(plain) // 2]
    return found


# ---------------------------------------------------------------- who takes part


def _column(name: str, nodes: Sequence[str]) -> str:
    """The column of a node, or of the first instance of a service."""
    if name in nodes:
        return name
    return next((node for node in nodes if service_of(node) == name and not node.endswith("-store")), name)


def service_of(node: str) -> str:
    """`order` of `order-2` and of `order-store`."""
    return node.rpartition("-")[0] or node


def _nodes(steps: Sequence[Span]) -> tuple[str, ...]:
    """The columns after the client: instances that noted something, each service followed by its store."""
    seen = dict.fromkeys(step.node for step in steps)
    wrote = {service_of(step.node) for step in steps if step.what.startswith(("persist", "do:", "done:"))}
    found: list[str] = []
    for service in SERVICES:
        mine = sorted(node for node in seen if service_of(node) == service)
        reached = any(step.what.startswith("send:") and step.detail == service for step in steps)
        if mine or reached:
            found += mine or [f"{service}-1"]
        if service in wrote:
            found.append(f"{service}-store")
    return tuple(found) or ("the shop",)


def _clients(attempts: Sequence[Operation], nodes: Sequence[str]) -> Iterator[SequenceEntry]:
    for each in attempts:
        waited_ms = (each.completed_ns - each.invoked_ns) / 1e6
        said = str(each.value) if each.outcome == "fail" and each.value else ""
        answer = f"{ANSWERS[each.outcome]}{f': {said[:60]}' if said else ''}"
        yield SequenceEntry("client", each.invoked_ns, CLIENT, nodes[0], "checkout")
        yield SequenceEntry("client", each.completed_ns, nodes[0], CLIENT, answer, took_ms=waited_ms)


def _services(steps: Sequence[Span]) -> Iterator[SequenceEntry]:
    """Sends paired with the receipts they led to, commands with their answers."""
    heard = [step for step in steps if step.what.startswith("received:")]
    taken: set[int] = set()
    for at, step in enumerate(steps):
        action, _, name = step.what.partition(":")
        if action == "send":
            yield _sent(step, name, heard, taken, steps)
        elif action in {"persist", "do"}:
            yield _stored(step, action, name, steps[at + 1 :])
        elif action == "recovered":
            yield SequenceEntry("note", step.at_ns, step.node, step.node, "recovers it after a restart")
        elif action == "timer":
            yield SequenceEntry("note", step.at_ns, step.node, step.node, f"its timer '{name}' fires")


def _sent(step: Span, name: str, heard: Sequence[Span], taken: set[int], steps: Sequence[Span]) -> SequenceEntry:
    for number, each in enumerate(heard):
        fits = each.what == f"received:{name}" and each.txn == step.txn and each.at_ns >= step.at_ns
        there = each.node != step.node and (step.detail in SERVICES) <= (service_of(each.node) == step.detail)
        if fits and there and number not in taken:
            taken.add(number)
            took_ms = (each.at_ns - step.at_ns) / 1e6
            return SequenceEntry("message", each.at_ns, step.node, each.node, name, took_ms=took_ms)
    return SequenceEntry("lost", step.at_ns, step.node, _meant(step, steps), name)


def _meant(step: Span, steps: Sequence[Span]) -> str:
    """To whom a message went that nobody noted: an instance of the service, or whoever spoke to the sender before."""
    if step.detail in SERVICES:
        instances = [each.node for each in steps if service_of(each.node) == step.detail]
        return instances[0] if instances else f"{step.detail}-1"
    others = [each.node for each in steps if each.node != step.node and each.at_ns <= step.at_ns]
    return others[-1] if others else step.node


def _stored(step: Span, action: str, name: str, later: Sequence[Span]) -> SequenceEntry:
    wanted = f"persisted:{name}" if action == "persist" else f"done:{name}"
    answer = next(
        (each for each in later if each.what == wanted and each.node == step.node and each.txn == step.txn), None
    )
    store = f"{service_of(step.node)}-store"
    forced = action == "persist"
    if answer is None:
        return SequenceEntry("lost", step.at_ns, step.node, store, name, forced=forced)
    said = "" if answer.detail in {"", "ok"} else f": {answer.detail}"
    return SequenceEntry(
        "store", answer.at_ns, step.node, store, f"{name}{said}", (answer.at_ns - step.at_ns) / 1e6, forced
    )


def _bounded(entries: list[SequenceEntry]) -> list[SequenceEntry]:
    """The beginning and the end; what is repeated in the middle is left out first."""
    if len(entries) <= MOST_ENTRIES:
        return entries
    seen: dict[tuple[str, str, str, str], int] = defaultdict(int)
    kept = []
    for entry in entries:
        key = (entry.kind, entry.source, entry.target, entry.words)
        seen[key] += 1
        if entry.kind in {"fault", "client"} or seen[key] <= 2:
            kept.append(entry)
    return kept if len(kept) <= MOST_ENTRIES else [*kept[: MOST_ENTRIES // 2], *kept[-MOST_ENTRIES // 2 :]]
