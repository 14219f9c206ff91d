"""The history of one run in memory, and its reader.

A history file is NDJSON: a `Header` (the whole configuration and seed), then one `Operation` or `Event` a
line in the order of completion, then a `Footer` with the counts and a checksum of all lines before it. A
file without a valid footer is never judged: a history that lost its last lines may have lost exactly those
that show the violation.
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
        """Return `make(self)`, computed once for all checkers that need it."""
        if make not in self._memo:
            self._memo[make] = make(self)
        return cast("T", self._memo[make])

    def of_kind(self, kind: str) -> list[Event]:
        """Return the events of this kind, in the order of time."""
        return [event for event in self.events if event.kind == kind]

    def phase_ns(self, name: str) -> int | None:
        """Return the time when phase `name` began (the last time, if it was entered twice), or None."""
        starts = [event.at_ns for event in self.of_kind("phase") if event.data.get("name") == name]
        return starts[-1] if starts else None

    @cached_property
    def start_ns(self) -> int:
        """The earliest time in the history, from which reports count."""
        times = chain((op.invoked_ns for op in self.operations), (event.at_ns for event in self.events))
        return min(times, default=0)

    @cached_property
    def end_ns(self) -> int:
        """The latest time in the history."""
        times = chain((op.completed_ns for op in self.operations), (event.at_ns for event in self.events))
        return max(times, default=0)


def load(path: str | Path) -> History:
    """Read a history file and verify that it is whole.

    Raises `HistoryError` with file, line and reason if it cannot be read, is of an unknown version, has a
    line that is no record, was truncated or was altered.
    """
    try:
        with Path(path).open("rb") as file, gc_paused():
            return _read(path, file)
    except OSError as error:
        raise HistoryError(f"{path}: cannot read the history: {error.strerror}") from error


@contextmanager
def gc_paused() -> Iterator[None]:
    """Pause the cycle collector, which would walk over millions of live records again and again and free none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _read(path: str | Path, file: BinaryIO) -> History:
    checksum = Checksum()
    first = file.readline()
    header = _header(path, first)
    checksum.update(first)
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
                # A line after the footer is no part of the checksum: two runs in one file, or a line that was appended.
                if not line.endswith(b"\n") or file.read(1):
                    raise HistoryError(f"{path}, line {number}: the footer is not a whole last line")
                _verify(path, number, footer, checksum.footer(len(operations), len(events), footer.complete))
                return History(header, operations, events, footer.complete)
            case Header():
                raise HistoryError(f"{path}, line {number}: a second header: two histories in one file?")
        checksum.update(line)
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


def _verify(path: str | Path, number: int, footer: Footer, actual: Footer) -> None:
    for name in ("operations", "events", "checksum"):
        recorded, counted = getattr(footer, name), getattr(actual, name)
        if recorded != counted:
            raise HistoryError(f"{path}, line {number}: altered: {name} {recorded} in the footer, not {counted}")
