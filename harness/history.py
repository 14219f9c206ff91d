"""What every client did and saw: the history of one run, recorded to disk and read back.

A history file is NDJSON: a `Header` (the whole configuration and seed), then an `Operation` or `Event` a
line in the order in which they were completed, then a `Footer` with the counts and a checksum of
everything before it. A file without a valid footer is never judged: a history which lost its last lines
may have lost exactly those that show the violation.

An operation of unknown outcome may take effect at any later time, so its process is never used again:
what it did is concurrent with everything after it.
"""

import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar, cast

import msgspec

from harness.records import (
    VERSION,
    Claims,
    Event,
    Footer,
    Header,
    HistoryError,
    Line,
    Operation,
    Outcome,
    Seal,
    decode_line,
    decode_version,
    encode,
)

__all__ = [
    "VERSION",
    "Claims",
    "Event",
    "Footer",
    "Header",
    "History",
    "HistoryError",
    "Operation",
    "Outcome",
    "Pending",
    "Processes",
    "Recorder",
    "load",
    "uncollected",
]

FLUSH_NS = 1_000_000_000
FLUSH_BYTES = 1 << 16

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class History:
    """A run in memory: `operations` in the order of completion, `events` in the order of time."""

    header: Header
    operations: Sequence[Operation]
    events: Sequence[Event] = ()
    complete: bool = True
    _memo: dict[object, Any] = field(default_factory=dict, repr=False)

    def derive(self, make: Callable[["History"], T]) -> T:
        """`make(self)`, computed once: several checkers read the same books."""
        if make not in self._memo:
            self._memo[make] = make(self)
        return cast("T", self._memo[make])

    def of_kind(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]

    def phase_ns(self, name: str) -> int | None:
        """When phase `name` began (the last time, if it was entered twice), or None."""
        starts = [event.at_ns for event in self.of_kind("phase") if event.data.get("name") == name]
        return starts[-1] if starts else None

    @cached_property
    def start_ns(self) -> int:
        """The earliest time in the history: zero of every time that is told to people."""
        times = chain((op.invoked_ns for op in self.operations), (event.at_ns for event in self.events))
        return min(times, default=0)


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

    recorder: "Recorder"
    process: int
    op: str
    args: list[Any]
    invoked_ns: int

    def ok(self, value: Any = None) -> Operation:
        """It happened; `value` is the parsed body."""
        return self.recorder.complete(self, "ok", value)

    def fail(self, value: Any = None) -> Operation:
        """It definitely did not happen; `value` is the body that said so."""
        return self.recorder.complete(self, "fail", value)

    def unknown(self, why: str) -> Operation:
        """It may have happened, or still happen; `why` in words."""
        return self.recorder.complete(self, "unknown", why)


class Recorder:
    """Streams a history to `path`, which must not exist yet. For one thread.

    Lines are written at the latest one second after they were recorded (by the clock of the next call), so
    a killed harness loses little. When a write fails, the file is taken back to its last whole line and
    sealed as incomplete, so that it can still be read; every later call raises.

    `clock` returns nanoseconds. `tell`, if given, hears every line when it is recorded.
    Every method that writes raises `HistoryError`.
    """

    def __init__(
        self,
        path: str | Path,
        header: Header,
        clock: Callable[[], int] = time.monotonic_ns,
        tell: Callable[[Operation | Event], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self._clock = clock
        self._tell = tell
        self._seal = Seal()
        self._buffer = bytearray()
        self._flushed_ns = clock()
        self._operations = self._events = self._size = 0
        self._on_disk = (0, 0)  # operations and events up to `_size`
        self._busy: dict[int, Pending] = {}
        self._retired: set[int] = set()
        self._why_closed = "the history is closed"
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

    def invoke(self, process: int, op: str, *args: Any) -> Pending:
        """Note that `process` begins `op`: one thing at a time, and nothing more after an unknown outcome."""
        if process in self._busy:
            raise HistoryError(f"{self.path}: process {process} is still doing {self._busy[process].op}")
        if process in self._retired:
            raise HistoryError(f"{self.path}: process {process} ended in an unknown outcome: use a fresh one")
        pending = Pending(self, process, op, list(args), self._clock())
        self._busy[process] = pending
        return pending

    def complete(self, pending: Pending, outcome: Outcome, value: Any) -> Operation:
        """Record how `pending` ended, now."""
        if self._file.closed:
            raise HistoryError(f"{self.path}: {self._why_closed}")
        if self._busy.get(pending.process) is not pending:
            raise HistoryError(f"{self.path}: {pending.op} of process {pending.process} was completed before")
        del self._busy[pending.process]
        if outcome == "unknown":
            self._retired.add(pending.process)
        now = self._clock()
        done = Operation(pending.process, pending.op, pending.args, pending.invoked_ns, now, outcome, value)
        self._operations += 1
        self._write(done, now)
        return done

    def event(self, kind: str, **data: Any) -> Event:
        """Record what the harness did or saw, now."""
        event = Event(kind, self._clock(), data)
        self._events += 1
        self._write(event, event.at_ns)
        return event

    def phase(self, name: str) -> Event:
        """Begin a phase: `setup`, `load`, `heal` or `final`."""
        return self.event("phase", name=name)

    def close(self, complete: bool = True) -> None:
        """Seal the file; what is still running is recorded as unknown. Closing twice does nothing."""
        if self._file.closed:
            return
        try:
            for pending in list(self._busy.values()):
                pending.unknown("still running when the history was closed")
            self._flush()
            self._append(encode(self._seal.footer(self._operations, self._events, complete)) + b"\n")
        finally:
            self._file.close()

    def _write(self, record: Operation | Event, now_ns: int) -> None:
        if self._file.closed:
            raise HistoryError(f"{self.path}: {self._why_closed}")
        self._buffer += encode(record) + b"\n"
        if len(self._buffer) >= FLUSH_BYTES or now_ns - self._flushed_ns >= FLUSH_NS:
            self._flush()
            self._flushed_ns = now_ns
        if self._tell:
            self._tell(record)

    def _flush(self) -> None:
        self._append(self._buffer)
        self._seal.update(self._buffer)
        self._size += len(self._buffer)
        self._on_disk = (self._operations, self._events)
        self._buffer.clear()

    def _append(self, data: bytes | bytearray) -> None:
        try:
            _write_all(self._file.fileno(), data)
        except OSError as error:
            self._why_closed = f"cannot write the history: {error.strerror}; what was written before is kept"
            self._give_up()
            raise HistoryError(f"{self.path}: {self._why_closed}") from error

    def _give_up(self) -> None:
        """Take back what was half written and seal the rest, in the room which that has freed."""
        descriptor = self._file.fileno()
        try:
            os.ftruncate(descriptor, self._size)
            os.lseek(descriptor, self._size, os.SEEK_SET)
            _write_all(descriptor, encode(self._seal.footer(*self._on_disk, False)) + b"\n")
        except OSError:
            pass  # no room even for that: the lines stay, and `load` says that the end is missing
        finally:
            self._file.close()


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    rest = memoryview(bytes(data))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def load(path: str | Path) -> History:
    """Read a history file and prove it whole.

    Raises `HistoryError` with file, line and reason if it cannot be read, is of another version, has a
    line that is no record, was truncated or was altered.
    """
    try:
        with Path(path).open("rb") as file, uncollected():
            return _read(path, file)
    except OSError as error:
        raise HistoryError(f"{path}: cannot read the history: {error.strerror}") from error


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the cycle collector: it walks over millions of live records again and again, and frees none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read(path: str | Path, file: BinaryIO) -> History:
    seal = Seal()
    first = file.readline()
    header = _header(path, first)
    seal.update(first)
    operations: list[Operation] = []
    events: list[Event] = []
    for number, line in enumerate(file, 2):
        match _parse(path, number, line):
            case Operation() as operation:
                if operation.completed_ns < operation.invoked_ns:
                    raise HistoryError(f"{path}, line {number}: {operation.op} was completed before it began")
                operations.append(operation)
            case Event() as event:
                events.append(event)
            case Footer() as footer:
                if not line.endswith(b"\n") or file.read(1):
                    raise HistoryError(f"{path}, line {number}: the footer is not a whole last line")
                _verify(path, number, footer, seal.footer(len(operations), len(events), footer.complete))
                return History(header, operations, events, footer.complete)
            case Header():
                raise HistoryError(f"{path}, line {number}: a second header: two histories in one file?")
        seal.update(line)
    raise HistoryError(f"{path}: the end is missing (no footer): the file was truncated or is being written")


def _header(path: str | Path, line: bytes) -> Header:
    try:
        version = decode_version(line).version
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(f"{path}, line 1: not a wdm history: {error}") from error
    if version != VERSION:
        raise HistoryError(f"{path}, line 1: version {version}; this wdm reads version {VERSION}")
    return cast("Header", _parse(path, 1, line))


def _parse(path: str | Path, number: int, line: bytes) -> Line:
    try:
        return decode_line(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HistoryError(f"{path}, line {number}: not a record of a history: {error}") from error


def _verify(path: str | Path, number: int, found: Footer, actual: Footer) -> None:
    for name in ("operations", "events", "checksum"):
        told, counted = getattr(found, name), getattr(actual, name)
        if told != counted:
            raise HistoryError(f"{path}, line {number}: altered: {name} {told} in the footer, not {counted}")
