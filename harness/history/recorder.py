"""Recorders of a history: one writes a file, the other keeps the lines in memory; both follow the same rules.

A process has one operation at a time. An operation of unknown outcome may still take effect at any later time and is
concurrent with everything after it, so its process is never used again.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.history.format import Checksum, Event, Header, HistoryError, Operation, Outcome, encode
from harness.history.reader import History

FLUSH_NS = 1_000_000_000
FLUSH_BYTES = 1 << 16
"""Recorded lines are written once they are so old, or so long together."""

Listener = Callable[[Operation | Event], None]
"""A callback that receives every line when it is recorded."""


class Processes:
    """A source of process numbers. The number of a process whose operation ended `unknown` is never reused."""

    def __init__(self, first: int = 0) -> None:
        self._next = first

    def fresh(self) -> int:
        """Return the next unused number."""
        self._next += 1
        return self._next - 1

    def after(self, operation: Operation) -> int:
        """Return the number with which the client of `operation` continues."""
        return self.fresh() if operation.outcome == "unknown" else operation.process


@dataclass(frozen=True, eq=False, slots=True)
class Pending:
    """An operation that was invoked and has no outcome yet; one of its methods completes it, exactly once."""

    recorder: "Recorder"
    process: int
    op: str
    args: list[Any]
    invoked_ns: int
    due_ns: int | None = None

    def ok(self, value: Any = None, status: int | None = None) -> Operation:
        """Record that it took effect; `value` is the parsed body."""
        return self.recorder.complete(self, "ok", value, status)

    def fail(self, value: Any = None, status: int | None = None) -> Operation:
        """Record that it certainly did not take effect; `value` is the body of the rejection."""
        return self.recorder.complete(self, "fail", value, status)

    def unknown(self, why: str, status: int | None = None) -> Operation:
        """Record that it may have taken effect, or may still do so; `why` is the reason in words."""
        return self.recorder.complete(self, "unknown", why, status)


class Recorder(ABC):
    """The base of recorders: the rules for processes, and the operations under way.

    `clock` returns nanoseconds; `name` names the history in errors. `listener`, if given, receives every line when it is
    recorded. Every method raises `HistoryError` for a call that breaks the rules, or if a line cannot be kept.
    """

    def __init__(
        self, name: str, clock: Callable[[], int] = time.monotonic_ns, listener: Listener | None = None
    ) -> None:
        self._name = name
        self._clock = clock
        self._listener = listener
        self._busy: dict[int, Pending] = {}
        self._retired: set[int] = set()
        self._operations = self._events = 0
        self._why_closed = ""

    def invoke(self, process: int, op: str, *args: Any, due_ns: int | None = None) -> Pending:
        """Record that `process` begins `op`: one operation at a time, and no further one after an unknown outcome.

        `due_ns`: its due time in an open loop.
        """
        if process in self._busy:
            raise HistoryError(f"{self._name}: process {process} is still doing {self._busy[process].op}")
        if process in self._retired:
            raise HistoryError(f"{self._name}: process {process} ended in an unknown outcome: use a fresh one")
        pending = Pending(self, process, op, list(args), self._clock(), due_ns)
        self._busy[process] = pending
        return pending

    def complete(self, pending: Pending, outcome: Outcome, value: Any, status: int | None = None) -> Operation:
        """Record the outcome of `pending`, now."""
        self._check_open()
        if self._busy.get(pending.process) is not pending:
            raise HistoryError(f"{self._name}: {pending.op} of process {pending.process} was completed before")
        del self._busy[pending.process]
        if outcome == "unknown":
            self._retired.add(pending.process)
        now_ns = self._clock()
        operation = Operation(
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
        self._record(operation)
        return operation

    def now_ns(self) -> int:
        """Return the time by the clock of the history."""
        return self._clock()

    def event(self, kind: str, /, **data: Any) -> Event:
        """Record an event of the harness, now."""
        self._check_open()
        event = Event(kind, self._clock(), data)
        self._events += 1
        self._record(event)
        return event

    def phase(self, name: str) -> Event:
        """Begin a phase: `setup`, `load`, `heal` or `final`."""
        return self.event("phase", name=name)

    @abstractmethod
    def close(self, complete: bool = True) -> None:
        """End the history; operations still running become unknown. Closing twice does nothing."""

    @abstractmethod
    def _keep(self, record: Operation | Event) -> None:
        """Store one line."""

    def _check_open(self) -> None:
        if self._why_closed:
            raise HistoryError(f"{self._name}: {self._why_closed}")

    def _record(self, record: Operation | Event) -> None:
        self._keep(record)
        if self._listener:
            self._listener(record)

    def _end_all(self) -> None:
        for pending in list(self._busy.values()):
            pending.unknown("still running when the history was closed")


class MemoryRecorder(Recorder):
    """A recorder into memory, for campaigns of thousands of runs."""

    def __init__(self, header: Header, clock: Callable[[], int], listener: Listener | None = None) -> None:
        super().__init__("the history", clock, listener)
        self._header = header
        self._kept: tuple[list[Operation], list[Event]] = ([], [])
        self._complete = True

    def close(self, complete: bool = True) -> None:
        if not self._why_closed:
            self._end_all()
            self._why_closed = "the history is closed"
            self._complete = complete

    def history(self) -> History:
        """Close the history and return it."""
        self.close()
        return History(self._header, *self._kept, self._complete)

    def _keep(self, record: Operation | Event) -> None:
        if isinstance(record, Operation):
            self._kept[0].append(record)
        else:
            self._kept[1].append(record)


class FileRecorder(Recorder):
    """A recorder into the file `path`, which must not exist yet. For one thread.

    Lines are written at the latest one second after they were recorded (by the clock of the next call), so
    a killed harness loses little. When a write fails, the file is truncated to its last whole block of lines and
    gets the footer of an incomplete history, so that it can still be read; every later call raises.

    Every method that writes raises `HistoryError`.
    """

    def __init__(
        self,
        path: str | Path,
        header: Header,
        clock: Callable[[], int] = time.monotonic_ns,
        listener: Listener | None = None,
    ) -> None:
        super().__init__(str(path), clock, listener)
        self.path = Path(path)
        self._checksum = Checksum()
        self._buffer = bytearray()
        self._flushed_ns = clock()
        self._size = 0
        self._on_disk = (0, 0)  # operations and events in the first `_size` bytes
        try:
            self._file = self.path.open("xb", buffering=0)
        except OSError as error:
            raise HistoryError(f"{self.path}: cannot create the history: {error.strerror}") from error
        self._buffer += encode(header) + b"\n"
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _e: object, _t: TracebackType | None) -> None:
        self.close(complete=kind is None)

    def close(self, complete: bool = True) -> None:
        """Write the footer; operations still running are recorded as unknown. Closing twice does nothing."""
        if self._file.closed:
            return
        try:
            self._end_all()
            self._flush()
            self._append(encode(self._checksum.footer(self._operations, self._events, complete)) + b"\n")
        finally:
            self._why_closed = self._why_closed or "the history is closed"
            self._file.close()

    def _keep(self, record: Operation | Event) -> None:
        now_ns = record.at_ns if isinstance(record, Event) else record.completed_ns
        self._buffer += encode(record) + b"\n"
        if len(self._buffer) >= FLUSH_BYTES or now_ns - self._flushed_ns >= FLUSH_NS:
            self._flush()
            self._flushed_ns = now_ns

    def _flush(self) -> None:
        self._append(self._buffer)
        # Only after the write: a footer after a failed one must match the bytes on disk, not the lines in the buffer.
        self._checksum.update(self._buffer)
        self._size += len(self._buffer)
        self._on_disk = (self._operations, self._events)
        self._buffer.clear()

    def _append(self, data: bytes | bytearray) -> None:
        try:
            _write_all(self._file.fileno(), data)
        except OSError as error:
            self._why_closed = f"cannot write the history: {error.strerror}; earlier records are kept"
            self._truncate()
            raise HistoryError(f"{self.path}: {self._why_closed}") from error

    def _truncate(self) -> None:
        """Remove a half-written block of lines and write the footer into the space that it took.

        Without the footer the reader would take the file for truncated, and the checkers would judge none of its lines,
        though all up to `_size` are whole. A full disk mostly has room for it: the removed block is longer.
        """
        descriptor = self._file.fileno()
        try:
            os.ftruncate(descriptor, self._size)
            # `ftruncate` moves no file offset: a write behind the new end would leave a gap of zeros before the footer.
            os.lseek(descriptor, self._size, os.SEEK_SET)
            _write_all(descriptor, encode(self._checksum.footer(*self._on_disk, False)) + b"\n")
        except OSError:
            pass  # no room even for the footer: `load` then rejects the file as truncated, which is true
        finally:
            self._file.close()  # `close` then returns at once: a second footer would make the file unreadable


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    """Write all bytes: one `write` may take only a part of them, as on a disk that becomes full. Raises `OSError`."""
    rest = memoryview(bytes(data))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
