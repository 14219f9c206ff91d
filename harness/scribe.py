"""Noting what clients do and see: the same words for a history that is written to a file and for one kept in memory."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.records import Event, HistoryError, Operation, Outcome

Listener = Callable[[Operation | Event], None]
"""Hears every line when it is recorded."""


class Processes:
    """Hands out process numbers; one whose operation ended `unknown` is never handed out again."""

    def __init__(self, first: int = 0) -> None:
        self._next = first

    def fresh(self) -> int:
        self._next += 1
        return self._next - 1

    def after(self, operation: Operation) -> int:
        """The number with which the client that did `operation` goes on."""
        return self.fresh() if operation.outcome == "unknown" else operation.process


@dataclass(frozen=True, eq=False, slots=True)
class Pending:
    """An operation that was invoked and whose outcome is not known yet; complete it exactly once."""

    recorder: "Scribe"
    process: int
    op: str
    args: list[Any]
    invoked_ns: int
    due_ns: int | None = None

    def ok(self, value: Any = None, status: int | None = None) -> Operation:
        """It happened; `value` is the parsed body."""
        return self.recorder.complete(self, "ok", value, status)

    def fail(self, value: Any = None, status: int | None = None) -> Operation:
        """It definitely did not happen; `value` is the body that said so."""
        return self.recorder.complete(self, "fail", value, status)

    def unknown(self, why: str, status: int | None = None) -> Operation:
        """It may have happened, or still happen; `why` in words."""
        return self.recorder.complete(self, "unknown", why, status)


class Scribe:
    """Keeps the books of who is doing what. ``clock`` returns nanoseconds; ``name`` is for messages.

    Every method raises `HistoryError` where it is used wrongly, or where a line cannot be kept.
    """

    def __init__(self, name: str, clock: Callable[[], int] = time.monotonic_ns, tell: Listener | None = None) -> None:
        self._name = name
        self._clock = clock
        self._tell = tell
        self._busy: dict[int, Pending] = {}
        self._retired: set[int] = set()
        self._operations = self._events = 0
        self._why_closed = ""

    def invoke(self, process: int, op: str, *args: Any, due_ns: int | None = None) -> Pending:
        """Note that `process` begins `op`: one thing at a time, and nothing more after an unknown outcome.

        `due_ns`: when it was to begin, if that is not up to the answers before it.
        """
        if process in self._busy:
            raise HistoryError(f"{self._name}: process {process} is still doing {self._busy[process].op}")
        if process in self._retired:
            raise HistoryError(f"{self._name}: process {process} ended in an unknown outcome: use a fresh one")
        pending = Pending(self, process, op, list(args), self._clock(), due_ns)
        self._busy[process] = pending
        return pending

    def complete(self, pending: Pending, outcome: Outcome, value: Any, status: int | None = None) -> Operation:
        """Record how `pending` ended, now."""
        self._check_open()
        if self._busy.get(pending.process) is not pending:
            raise HistoryError(f"{self._name}: {pending.op} of process {pending.process} was completed before")
        del self._busy[pending.process]
        if outcome == "unknown":
            self._retired.add(pending.process)
        now_ns = self._clock()
        done = Operation(
            process=pending.process,
            op=pending.op,
            args=pending.args,
            invoked_ns=pending.invoked_ns,
            completed_ns=now_ns,
            outcome=outcome,
            value=value,
            due_ns=pending.due_ns,
            status=status,
        )
        self._operations += 1
        self._record(done)
        return done

    def now_ns(self) -> int:
        """By the clock of the history."""
        return self._clock()

    def event(self, kind: str, /, **data: Any) -> Event:
        """Record what the harness did or saw, now."""
        self._check_open()
        event = Event(kind, self._clock(), data)
        self._events += 1
        self._record(event)
        return event

    def phase(self, name: str) -> Event:
        """Begin a phase: `setup`, `load`, `heal` or `final`."""
        return self.event("phase", name=name)

    def close(self, complete: bool = True) -> None:
        """Nothing more is recorded; what is still running is unknown. Closing twice does nothing."""
        raise NotImplementedError

    def _keep(self, record: Operation | Event) -> None:
        raise NotImplementedError

    def _check_open(self) -> None:
        if self._why_closed:
            raise HistoryError(f"{self._name}: {self._why_closed}")

    def _record(self, record: Operation | Event) -> None:
        self._keep(record)
        if self._tell:
            self._tell(record)

    def _end_all(self) -> None:
        for pending in list(self._busy.values()):
            pending.unknown("still running when the history was closed")
