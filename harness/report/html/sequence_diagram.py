"""Sequence diagrams: the messages, store commands and faults of one checkout, in the order of time.

Everything comes from the history and from the spans of the services (`harness.history.spans`). A span is missing where its
process was killed before it could write it, and so is its entry in the diagram.
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
from harness.report.text import describe_progress
from protocols.shop.services import SERVICES

CLIENT = "client"
MOST_ENTRIES = 56
EXAMPLES = 60
"""The number of orders among which an example is chosen."""

AROUND_NS = 250_000_000
NOTICED_NS = 500_000_000
DIED_WITHIN_NS = 1_500_000_000
TO_NODES = {
    "crash": "is killed",
    "restart": "is restarted",
    "pause": "is frozen",
    "power-cut": "loses power",
    "lost-tail": "is killed and loses the end of its log",
}
"""The faults of nodes. Such a fault ends with the event of the node that runs again."""

ANSWERS = {"ok": "acknowledged", "fail": "rejected", "unknown": "no answer"}

EntryKind = Literal["message", "lost", "store", "client", "note", "fault"]


@dataclass(frozen=True, slots=True)
class SequenceEntry:
    """One line of a diagram. `took_ms` is the time until the answer; the protocol waits for a `forced` write to be durable."""

    kind: EntryKind
    at_ns: int
    source: str
    target: str
    words: str
    took_ms: float | None = None
    forced: bool = False


@dataclass(frozen=True)
class SequenceDiagram:
    """The diagram of one order's checkout and its `attempts`. `nodes` are the columns; `left_out` entries were too many."""

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
    """The spans, attempts and faults of one run, indexed for its diagrams."""

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
        """Return the diagram of an order; None if it was never checked out."""
        attempts = tuple(sorted(self._attempts.get(order, ()), key=lambda attempt: attempt.invoked_ns))
        if not attempts:
            return None
        steps = sorted(
            (step for txn in self._txns.get(order, ()) for step in self._steps[txn]), key=lambda step: step.at_ns
        )
        nodes = _nodes(steps)
        entries = [*_clients(attempts, nodes), *_services(steps)]
        begin = min(entry.at_ns for entry in entries)
        end = max(entry.at_ns for entry in entries)
        entries += self._faults_between(begin - AROUND_NS, end, nodes)
        entries = [self._without_false_loss(entry) for entry in entries]
        entries.sort(key=lambda entry: entry.at_ns)
        drawn = _bounded(entries)
        start_ns = self.run.history.start_ns
        return SequenceDiagram(order, attempts, nodes, tuple(drawn), len(entries) - len(drawn), start_ns)

    def _without_false_loss(self, entry: SequenceEntry) -> SequenceEntry:
        """Return the entry, as no loss if it is a store command without an answer of its own and no node died meanwhile."""
        # A command that is not forced may share the answer of a batch, so its own answer is missing without any loss.
        if entry.kind != "lost" or entry.forced or not entry.target.endswith("-store"):
            return entry
        later = self._faults[
            bisect_left(self._times, entry.at_ns) : bisect_right(self._times, entry.at_ns + DIED_WITHIN_NS)
        ]
        names = {entry.source, entry.target, service_of(entry.source)}
        died = any(names & {str(event.data.get("name")), str(event.data.get("target"))} for event in later)
        return entry if died else replace(entry, kind="store")

    def orders(self, outcome: str) -> Iterator[str]:
        """Yield the orders with one checkout, under load, of this outcome and with spans, in the order of time."""
        load_ns = self.run.history.phase_ns("load") or 0
        for order, attempts in self._attempts.items():
            if (
                len(attempts) == 1
                and attempts[0].outcome == outcome
                and attempts[0].invoked_ns >= load_ns
                and self._txns.get(order)
            ):
                yield order

    def _faults_between(self, begin_ns: int, end_ns: int, nodes: Sequence[str]) -> Iterator[SequenceEntry]:
        for event in self._faults[bisect_left(self._times, begin_ns) : bisect_right(self._times, end_ns)]:
            words = self._fault(event, nodes)
            if words:
                where = _column(str(event.data.get("name") or event.data.get("target") or ""), nodes)
                yield SequenceEntry("fault", event.at_ns, where, where, words)

    def _fault(self, event: Event, nodes: Sequence[str]) -> str:
        """Describe a fault; empty for a node without a part in the diagram, and for the effect of a fault with an entry."""
        kind, target = str(event.data.get("fault")), str(event.data.get("target"))
        if event.kind == "fault-start" and kind in TO_NODES:
            return f"{target} {TO_NODES[kind]}"
        if event.kind != "node":
            return "" if kind in TO_NODES else describe_progress(event)
        name, state = str(event.data.get("name")), str(event.data.get("state"))
        if name not in nodes or (state != "running" and self._explained(event, name)):
            return ""
        return {"down": f"{name} is dead", "paused": f"{name} is frozen", "running": f"{name} runs"}.get(state, "")

    def _explained(self, event: Event, name: str) -> bool:
        """Return whether a fault that began just before is the reason that this node does not run."""
        before = self._faults[
            bisect_left(self._times, event.at_ns - NOTICED_NS) : bisect_right(self._times, event.at_ns)
        ]
        targets = {str(fault.data.get("target")) for fault in before if fault.kind == "fault-start"}
        return bool(targets & {name, service_of(name) if not name.endswith("-store") else name})


def examples(index: SequenceIndex) -> dict[str, SequenceDiagram]:
    """Return a diagram for each outcome: of a typical success, and of the rejection with the most entries."""
    chosen: dict[str, SequenceDiagram] = {}
    for outcome, most in (("ok", False), ("fail", True)):
        diagrams: list[SequenceDiagram] = []
        for order in islice(index.orders(outcome), EXAMPLES):
            diagram = index.diagram(order)
            if diagram and not diagram.left_out and len(diagram.nodes) > 1:
                diagrams.append(diagram)
        diagrams.sort(key=lambda diagram: len(diagram.entries))
        undisturbed = [diagram for diagram in diagrams if not diagram.disturbed] or diagrams
        if undisturbed:
            # The longest rejection is the one with compensations; a success of median length is the ordinary one.
            chosen[outcome] = undisturbed[-1] if most else undisturbed[len(undisturbed) // 2]
    return chosen


# ---------------------------------------------------------------- columns


def _column(name: str, nodes: Sequence[str]) -> str:
    """Return the column of a node, or of the first instance of a service."""
    if name in nodes:
        return name
    return next((node for node in nodes if service_of(node) == name and not node.endswith("-store")), name)


def service_of(node: str) -> str:
    """Return the service of a node: `order` of `order-2` and of `order-store`."""
    return node.rpartition("-")[0] or node


def _nodes(steps: Sequence[Span]) -> tuple[str, ...]:
    """Return the columns after the client: the instances with spans, each service followed by its store."""
    seen = dict.fromkeys(step.node for step in steps)
    wrote = {service_of(step.node) for step in steps if step.what.startswith(("persist", "do:", "done:"))}
    columns: list[str] = []
    for service in SERVICES:
        instances = sorted(node for node in seen if service_of(node) == service)
        reached = any(step.what.startswith("send:") and step.detail == service for step in steps)
        if instances or reached:
            columns += instances or [f"{service}-1"]
        if service in wrote:
            columns.append(f"{service}-store")
    return tuple(columns) or ("the shop",)


def _clients(attempts: Sequence[Operation], nodes: Sequence[str]) -> Iterator[SequenceEntry]:
    """Yield the request and the answer of each attempt."""
    for attempt in attempts:
        waited_ms = (attempt.completed_ns - attempt.invoked_ns) / 1e6
        reason = str(attempt.value) if attempt.outcome == "fail" and attempt.value else ""
        answer = f"{ANSWERS[attempt.outcome]}{f': {reason[:60]}' if reason else ''}"
        yield SequenceEntry("client", attempt.invoked_ns, CLIENT, nodes[0], "checkout")
        yield SequenceEntry("client", attempt.completed_ns, nodes[0], CLIENT, answer, took_ms=waited_ms)


def _services(steps: Sequence[Span]) -> Iterator[SequenceEntry]:
    """Yield the messages, each send paired with its receipt, and the store commands, each paired with its answer."""
    receipts = [step for step in steps if step.what.startswith("received:")]
    taken: set[int] = set()
    for at, step in enumerate(steps):
        action, _, name = step.what.partition(":")
        if action == "send":
            yield _message(step, name, receipts, taken, steps)
        elif action in {"persist", "do"}:
            yield _store_command(step, action, name, steps[at + 1 :])
        elif action == "recovered":
            yield SequenceEntry("note", step.at_ns, step.node, step.node, "recovers it after a restart")
        elif action == "timer":
            yield SequenceEntry("note", step.at_ns, step.node, step.node, f"its timer '{name}' fires")


def _message(sent: Span, name: str, receipts: Sequence[Span], taken: set[int], steps: Sequence[Span]) -> SequenceEntry:
    """Pair a send with the first receipt that is not taken yet; without one, the message is lost."""
    for number, receipt in enumerate(receipts):
        if number not in taken and _fits(sent, name, receipt):
            taken.add(number)
            took_ms = (receipt.at_ns - sent.at_ns) / 1e6
            return SequenceEntry("message", receipt.at_ns, sent.node, receipt.node, name, took_ms=took_ms)
    return SequenceEntry("lost", sent.at_ns, sent.node, _receiver(sent, steps), name)


def _fits(sent: Span, name: str, receipt: Span) -> bool:
    """Return whether the receipt can be that of the message."""
    if receipt.what != f"received:{name}" or receipt.txn != sent.txn:
        return False
    if receipt.node == sent.node or receipt.at_ns < sent.at_ns:
        return False
    # A request has the name of a service in `detail`, and any instance of it may receive it. A reply has the address of
    # one instance, which no span maps to a node: the message and the transaction are then the only marks.
    return sent.detail not in SERVICES or service_of(receipt.node) == sent.detail


def _receiver(sent: Span, steps: Sequence[Span]) -> str:
    """Return the node of a lost message: an instance of its service, or the last other node before a reply."""
    if sent.detail in SERVICES:
        instances = [step.node for step in steps if service_of(step.node) == sent.detail]
        return instances[0] if instances else f"{sent.detail}-1"
    others = [step.node for step in steps if step.node != sent.node and step.at_ns <= sent.at_ns]
    return others[-1] if others else sent.node


def _store_command(step: Span, action: str, name: str, later: Sequence[Span]) -> SequenceEntry:
    """Pair a command with its answer; without one, it is lost."""
    wanted = f"persisted:{name}" if action == "persist" else f"done:{name}"
    answer = next(
        (span for span in later if span.what == wanted and span.node == step.node and span.txn == step.txn), None
    )
    store = f"{service_of(step.node)}-store"
    forced = action == "persist"
    if answer is None:
        return SequenceEntry("lost", step.at_ns, step.node, store, name, forced=forced)
    result = "" if answer.detail in {"", "ok"} else f": {answer.detail}"
    return SequenceEntry(
        "store", answer.at_ns, step.node, store, f"{name}{result}", (answer.at_ns - step.at_ns) / 1e6, forced
    )


def _bounded(entries: list[SequenceEntry]) -> list[SequenceEntry]:
    """Return at most `MOST_ENTRIES` entries: without repeated ones first, and then without the middle."""
    if len(entries) <= MOST_ENTRIES:
        return entries
    seen: dict[tuple[str, str, str, str], int] = defaultdict(int)
    bounded = []
    for entry in entries:
        key = (entry.kind, entry.source, entry.target, entry.words)
        seen[key] += 1
        if entry.kind in {"fault", "client"} or seen[key] <= 2:
            bounded.append(entry)
    if len(bounded) <= MOST_ENTRIES:
        return bounded
    return [*bounded[: MOST_ENTRIES // 2], *bounded[-MOST_ENTRIES // 2 :]]
