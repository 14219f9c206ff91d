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
    READABLE,
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
from harness.scribe import Listener, Pending, Processes, Scribe

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

    @cached_property
    def end_ns(self) -> int:
        """The latest time in the history."""
        times = chain((op.completed_ns for op in self.operations), (event.at_ns for event in self.events))
        return max(times, default=0)


class Tape(Scribe):
    """A history in memory, for runs of which there are thousands."""

    def __init__(self, header: Header, clock: Callable[[], int], tell: Listener | None = None) -> None:
        super().__init__("the history", clock, tell)
        self._header = header
        self._kept: tuple[list[Operation], list[Event]] = ([], [])
        self._complete = True

    def close(self, complete: bool = True) -> None:
        if not self._why_closed:
            self._end_all()
            self._why_closed = "the history is closed"
            self._complete = complete

    def history(self) -> History:
        self.close()
        return History(self._header, *self._kept, self._complete)

    def _keep(self, record: Operation | Event) -> None:
        if isinstance(record, Operation):
            self._kept[0].append(record)
        else:
            self._kept[1].append(record)


class Recorder(Scribe):
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
        tell: Listener | None = None,
    ) -> None:
        super().__init__(str(path), clock, tell)
        self.path = Path(path)
        self._seal = Seal()
        self._buffer = bytearray()
        self._flushed_ns = clock()
        self._size = 0
        self._on_disk = (0, 0)  # operations and events up to `_size`
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
        """Seal the file; what is still running is recorded as unknown. Closing twice does nothing."""
        if self._file.closed:
            return
        try:
            self._end_all()
            self._flush()
            self._append(encode(self._seal.footer(self._operations, self._events, complete)) + b"\n")
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
    if version not in READABLE:
        raise HistoryError(
            f"{path}, line 1: version {version}; this wdm reads versions {', '.join(map(str, sorted(READABLE)))}: "
            "use the wdm that wrote it"
        )
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
