"""The lines of a history file: one `Header`, then `Operation`s and `Event`s, then one `Footer`.

Outcomes follow Jepsen: `ok` if the operation took effect, `fail` if it certainly did not, `unknown` for all else (a time-out,
a reset, a 5xx). All times are nanoseconds of one monotonic clock.
"""

import hashlib
from typing import Any, Literal

import msgspec

VERSION = 3
"""The version that is written. Older versions are read: version 1 lacks the status of each answer, and the events of versions
1 and 2 have other words (`upgrade`).
"""

READABLE = frozenset({1, 2, 3})

Outcome = Literal["ok", "fail", "unknown"]


class HistoryError(Exception):
    """A history that cannot be written or read; the message names the file, the line and the defect."""


class RecordedClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of the protocol for this run; a bound in seconds is None where the protocol promises none.

    `recovery_s` bounds the time from the heal to quiescence. `blocking_s` bounds for how long the transactions of an absent
    instance block others, `outage_s` the same for an absent service.
    """

    atomicity: Literal["atomic", "eventually", "none"]
    isolation: Literal["strict-serializable", "serializable", "snapshot", "read-committed", "read-uncommitted", "none"]
    durability: str
    recovery_s: float | None = None
    blocking_s: float | None = None
    outage_s: float | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="header"):
    """The first line of a history: the configuration and the seed of the run, enough to repeat it."""

    protocol: str
    claims: RecordedClaims
    scenario: str
    workload: str
    durability: str
    runtime: str
    seed: int | str
    version: int = VERSION
    config: dict[str, Any] = msgspec.field(default_factory=dict)


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag="op", omit_defaults=True):
    """One call of one client. `value` is the parsed body, or for `unknown` the reason in words.

    `due_ns` is its due time in an open loop, from which its response time counts; None in a closed loop.
    `status` is the HTTP status of the answer, 0 if there was none, None in a history of version 1.
    """

    process: int
    op: str
    args: list[Any]
    invoked_ns: int
    completed_ns: int
    outcome: Outcome
    value: Any = None
    due_ns: int | None = None
    status: int | None = None


class Event(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, tag="event"):
    """An event of the harness: `phase`, `fault-start`, `fault-end`, `healed`, `probe`, `dead-letters`, `node`."""

    kind: str
    at_ns: int
    data: dict[str, Any]


def upgrade(event: Event) -> Event:
    """Convert an event of version 1 or 2 to the words of version 3."""
    data = event.data
    if isinstance(settings := data.get("settings"), dict) and "boundary" in settings:
        renamed = {"failpoint" if name == "boundary" else name: value for name, value in settings.items()}
        data = {**data, "settings": renamed}
    return Event("dead-letters" if event.kind == "buried" else event.kind, event.at_ns, data)


class Footer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="footer"):
    """The last line of a history. `complete` is false for a run that was interrupted or failed."""

    operations: int
    events: int
    complete: bool
    checksum: str


class AnyHeader(msgspec.Struct, tag="header"):
    """The part of a header that every version has."""

    version: int


class Checksum:
    """A running checksum of the lines (BLAKE2b, 16 bytes), which covers the figures of the footer too."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self.update = self._hash.update

    def footer(self, operations: int, events: int, complete: bool) -> Footer:
        """Return the footer after the lines so far; later lines can still be added."""
        final = self._hash.copy()
        final.update(f"{operations} {events} {complete}".encode())
        return Footer(operations, events, complete, final.hexdigest())


Line = Header | Operation | Event | Footer

_lines: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
encode = msgspec.json.Encoder().encode
decode_line = _lines.decode
decode_version = msgspec.json.Decoder(AnyHeader).decode
