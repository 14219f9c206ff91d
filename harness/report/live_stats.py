"""The present state of a run, from the lines of its history: in this process, or in a file that another process writes."""

from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from harness.history.format import Event, Footer, Header, Operation, decode_line
from harness.history.latency import latency_us
from harness.metrics.histogram import Histogram
from harness.metrics.measure import CHECKOUT
from harness.report.text import READERS

OUTCOMES = ("ok", "fail", "unknown")
RECENT_NS = 3_000_000_000


@dataclass
class LiveStats:
    """The statistics of a run under way. Rates and latencies are those of the checkouts that ended in the last three seconds.

    An instance is called with every operation and event of the history.
    """

    phase: str = "up"
    tally: Counter[tuple[str, str]] = field(default_factory=Counter)
    active: dict[tuple[str, str], None] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)
    trouble: str = ""
    begin_ns: int = 0
    now_ns: int = 0
    _recent: deque[Operation] = field(default_factory=deque)

    def __call__(self, record: Operation | Event) -> None:
        if isinstance(record, Operation):
            self.now_ns = record.completed_ns
            self.tally[record.op, record.outcome] += 1
            if record.op == CHECKOUT:
                self._recent.append(record)
        else:
            self.now_ns = record.at_ns
            self._note(record)
        self.begin_ns = self.begin_ns or self.now_ns
        while self._recent and self._recent[0].completed_ns < self.now_ns - RECENT_NS:
            self._recent.popleft()

    @property
    def lasted_s(self) -> float:
        return (self.now_ns - self.begin_ns) / 1e9

    @property
    def rate_per_s(self) -> float:
        """Successful checkouts a second in the last three seconds."""
        span_s = min(RECENT_NS / 1e9, self.lasted_s)
        return sum(checkout.outcome == "ok" for checkout in self._recent) / span_s if span_s > 0 else 0.0

    def latency_ms(self, q: float) -> float | None:
        """Return a quantile of the last latencies; None without a checkout."""
        latency = Histogram(map(latency_us, self._recent)).quantile(q)
        return None if latency is None else latency / 1000

    @property
    def faults(self) -> list[str]:
        return [f"{fault} {target}".strip() for fault, target in self.active]

    @property
    def down(self) -> list[str]:
        return [f"{name} {state}" for name, state in self.nodes.items() if state != "running"]

    def outcome_counts(self, operation: str = CHECKOUT) -> str:
        """Return the counts of an operation as `12 acknowledged, 3 rejected, 0 unknown`."""
        return ", ".join(f"{self.tally[operation, outcome]} {READERS[outcome]}" for outcome in OUTCOMES)

    def speed(self) -> str:
        """Return `98/s, median 9 ms, 99th percentile 31 ms`; empty before the first answer."""
        p50, p99 = self.latency_ms(0.5), self.latency_ms(0.99)
        if p50 is None or p99 is None:
            return ""
        return f"{self.rate_per_s:.0f}/s, median {p50:.0f} ms, 99th percentile {p99:.0f} ms"

    def document(self) -> dict[str, Any]:
        """Return the statistics as plain values for a page."""
        return {
            "phase": self.phase,
            "lasted_s": round(self.lasted_s, 1),
            "checkouts": {outcome: self.tally[CHECKOUT, outcome] for outcome in OUTCOMES},
            "rate_per_s": round(self.rate_per_s, 1),
            "p50_ms": self.latency_ms(0.5),
            "p99_ms": self.latency_ms(0.99),
            "faults": self.faults,
            "down": self.down,
            "trouble": self.trouble,
        }

    def _note(self, event: Event) -> None:
        data = event.data
        fault = (str(data.get("fault")), str(data.get("target")))
        match event.kind:
            case "phase":
                self.phase = str(data.get("name"))
            case "fault-start":
                self.active[fault] = None
            case "fault-end":
                self.active.pop(fault, None)
            case "healed":
                self.active.clear()
            case "trouble":
                self.trouble = str(data.get("why"))
            case "probe":
                self.left = {name: count for name, count in data.items() if count and isinstance(count, int)}
            case "node":
                self.nodes[str(data.get("name"))] = str(data.get("state"))


class HistoryFollower:
    """The reader of a history that another process writes."""

    def __init__(self, path: Path) -> None:
        self.stats = LiveStats()
        self.header: Header | None = None
        self.over = False
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def follow(self) -> bool:
        """Read the new lines, and return whether there were any. A damaged line ends the history."""
        if self.over:
            return False
        try:
            if self._file is None:
                self._file = self._path.open("rb")
            data = self._rest + self._file.read()
        except OSError:
            return False
        *lines, self._rest = data.split(b"\n")
        for line in lines:
            self._read(line)
        return bool(lines)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _read(self, line: bytes) -> None:
        try:
            record = decode_line(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.over = True
            return
        match record:
            case Header():
                self.header = record
            case Footer():
                self.over = True
            case _:
                self.stats(record)
