"""What every client did and saw: the history of one run, recorded to disk and read back.

A history file is NDJSON: a `Header` (the whole configuration and seed), then an `Operation` or `Event` a
line in the order in which they were completed, then a `Footer` with the counts and a checksum of
everything before it. A file without a valid footer is never judged: a history which lost its last lines
may have lost exactly those that show the violation.

An operation of unknown outcome may take effect at any later time, so its process is never used again:
what it did is concurrent with everything after it.
"""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

import msgspec

from harness.history.format import (
    READABLE,
    VERSION,
    Checksum,
    Event,
    Footer,
    Header,
    HistoryError,
    Line,
    Operation,
    decode_line,
    decode_version,
    upgrade,
)

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
    seal = Checksum()
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
                events.append(event if header.version == VERSION else upgrade(event))
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
