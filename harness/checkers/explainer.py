"""Explanations of anomalies: the checkouts, the reads, the keys, and the reason for each edge of a cycle."""

from collections.abc import Iterator
from functools import cached_property

from harness.checkers.dependencies import PROCESS, RW, WR, WW
from harness.checkers.finding import Violation
from harness.checkers.formatting import abbreviate, in_order, list_operations, seconds
from harness.checkers.sets import SetHistory
from harness.checkers.shop_model import OrderModel
from harness.checkers.transactions import Anomaly
from harness.history import History, Operation

DIRECT = {
    "G1a": "{0} saw {1} in {key}, but that was rejected: the effect never happened.",
    "G1b": "{0} saw a part of what {1} did to {key}, and not all of it.",
    "garbage-read": "{0} read {key} short of an amount that no checkout explains.",
    "incompatible-reads": "{0} and {1} saw {key} in two states, and neither can have become the other.",
    "lost-update": "{0} and {1} both read {key} before the other had changed it, and both changed it.",
    "lost-update-realtime": "{0} was acknowledged, but no later read of {key} saw it; the last was {1}.",
    "fractured-read": "{0} saw {1} in {key}, but missed it in {other}.",
}
"""The explanations of anomalies without a cycle."""


class Explainer:
    """The explainer of one history: it turns anomalies into violations."""

    def __init__(self, history: History, sets: SetHistory) -> None:
        self._history = history
        self._sets = sets
        self._txns = sets.txns

    def explain(self, anomaly: Anomaly) -> Violation:
        """Return the violation of an anomaly, with its operations as evidence."""
        evidence = in_order(operation for txn in anomaly.txns for operation in self._operations(txn))
        what, keys = self._cycle(anomaly) if anomaly.kinds else self._direct(anomaly)
        return Violation(
            name=anomaly.name,
            explanation=f"{what}\n{list_operations(self._history, evidence)}",
            evidence=evidence,
            keys=keys,
        )

    def _direct(self, anomaly: Anomaly) -> tuple[str, tuple[str, ...]]:
        names = [self._name(txn) for txn in anomaly.txns]
        what = DIRECT[anomaly.name].format(*names, key=anomaly.keys[0], other=anomaly.keys[-1])
        return what, anomaly.keys

    def _cycle(self, anomaly: Anomaly) -> tuple[str, tuple[str, ...]]:
        """Return (one line for each edge of the cycle with its reason, keys in order of appearance)."""
        lines, keys = ["No serial order of these explains the reads:"], dict.fromkeys(anomaly.keys)
        for before, after, kind in zip(anomaly.txns, (*anomaly.txns[1:], anomaly.txns[0]), anomaly.kinds, strict=True):
            shared = list(self._shared(before, after, kind))
            keys.update(dict.fromkeys(shared))
            lines.append(f"  - {self._step(before, after, kind, shared)}")
        return "\n".join(lines), tuple(keys)

    def _step(self, before: int, after: int, kind: int, shared: list[str]) -> str:
        first, then, where = self._name(before), self._name(after), abbreviate(shared)
        if kind == WW:
            return f"{then} wrote {where} after {first}, because {self._witness(before, after, shared[0])}."
        if kind == WR:
            return f"{then} came after {first}, because it saw it in {where}."
        if kind == RW:
            return f"{first} came before {then}, because it did not see it in {where}."
        if kind == PROCESS:
            return f"{first} came before {then}: process {self._txns[before].process} did one after the other."
        ended, began = self._txns[before].completed_ns or 0, self._txns[after].invoked_ns
        times = f"{seconds(self._history, ended)}, before {seconds(self._history, began)}"
        return f"{first} came before {then}: it ended at {times}, when the other began."

    def _shared(self, before: int, after: int, kind: int) -> Iterator[str]:
        """Yield the keys over which one transaction precedes the other."""
        first, then = self._txns[before], self._txns[after]
        if kind == WW:
            added = {name for name, _ in first.adds}
            for name, _ in then.adds:
                if name in added and self._between(before, after, name) is not None:
                    yield name
        elif kind in {WR, RW}:
            writer, reader = (first, then) if kind == WR else (then, first)
            for name, element in writer.adds:
                if any(key == name and bool(state & element) == (kind == WR) for key, state in reader.reads):
                    yield name

    def _witness(self, before: int, after: int, name: str) -> str:
        reader = self._between(before, after, name)
        if reader is None:
            raise AssertionError(f"no read of {name} shows the order of {before} and {after}")
        return f"{self._name(reader)} saw T{before} but not T{after}"

    def _between(self, before: int, after: int, name: str) -> int | None:
        """Return a read of a key that saw the first and not the second transaction, or None."""
        seen, missed = self._element(before, name), self._element(after, name)
        return next(
            (reader for reader, state in self._readers.get(name, ()) if state & seen and not state & missed), None
        )

    def _element(self, txn: int, name: str) -> int:
        return next(element for key, element in self._txns[txn].adds if key == name)

    @cached_property
    def _readers(self) -> dict[str, list[tuple[int, int]]]:
        """The (transaction, state) of each read, by key."""
        readers: dict[str, list[tuple[int, int]]] = {}
        for index, txn in enumerate(self._txns):
            for name, state in txn.reads:
                readers.setdefault(name, []).append((index, state))
        return readers

    def _name(self, txn: int) -> str:
        """Return `T12 (checkout of order 5)`, or `R4 (find_user 3 by process 2)`."""
        origin = self._sets.origins[txn]
        if isinstance(origin, OrderModel):
            return f"T{txn} (checkout of {origin.name})"
        return f"R{txn} ({origin.op} {origin.args[0]} by process {origin.process})"

    def _operations(self, txn: int) -> list[Operation]:
        origin = self._sets.origins[txn]
        return [*origin.adds, *origin.attempts] if isinstance(origin, OrderModel) else [origin]
