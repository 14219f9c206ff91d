"""The lines of a history file: one `Header`, then `Operation`s and `Event`s, then one `Footer`.

Outcomes follow Jepsen: `ok` it happened, `fail` it definitely did not, `unknown` anything else (a
time-out, a reset, a 5xx). All times are nanoseconds of one monotonic clock.
"""

import hashlib
from typing import Any, Literal

import msgspec

VERSION = 3
"""The version that is written. All are read: version 1 lacks the status of each answer, and until version 2 some words
of the events were others (`upgrade`).
"""

READABLE = frozenset({1, 2, 3})

Outcome = Literal["ok", "fail", "unknown"]


class HistoryError(Exception):
    """The history cannot be written or read; the message names the file, the line and what is wrong."""


class RecordedClaims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of the protocol for this run; `recovery_s` and `blocking_s` are None where it promises no bound.

    `blocking_s` is that of the blocking of others while an instance stays away, `outage_s` while a whole service does.
    """

    atomicity: Literal["atomic", "eventually", "none"]
    isolation: Literal["strict-serializable", "serializable", "snapshot", "read-committed", "read-uncommitted", "none"]
    durability: str
    recovery_s: float | None = None
    blocking_s: float | None = None
    outage_s: float | None = None


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="header"):
    """First line: everything needed to say what was run, and to run it again."""

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
    """One call of one client. `value` is the parsed body, or for `unknown` why it is not known.

    `due_ns` is when it should have been asked, in a load that does not wait for answers: latency counts from there.
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
    """Last line. `complete` is false for a run that was interrupted."""

    operations: int
    events: int
    complete: bool
    checksum: str


class AnyHeader(msgspec.Struct, tag="header"):
    """As much of a header as every version has."""

    version: int


class Checksum:
    """Running checksum of the lines (BLAKE2b, 16 bytes); it covers the footer's own figures too."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self.update = self._hash.update

    def footer(self, operations: int, events: int, complete: bool) -> Footer:
        final = self._hash.copy()
        final.update(f"{operations} {events} {complete}".encode())
        return Footer(operations, events, complete, final.hexdigest())


Line = Header | Operation | Event | Footer

_lines: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)
encode = msgspec.json.Encoder().encode
decode_line = _lines.decode
decode_version = msgspec.json.Decoder(AnyHeader).decode
