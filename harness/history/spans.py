"""Spans: the trace of each transaction through the services, parsed from the lines of `protocols.service.trace` in logs."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from protocols.service.trace import PREFIX

FILE = "spans.ndjson"
"""The file of a run folder with one span a line, in the order of time."""

FORMER_FILE = "steps.ndjson"
"""The name of this file in older run folders, with the same lines."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """One event or effect of `txn` on `node`: `what` is `send:prepare` or `persisted:commit`, `at_ns` a time of the
    history's clock.
    """

    at_ns: int
    node: str
    txn: str
    what: str
    detail: str = ""


def parse(node: str, line: str) -> Span | None:
    """Parse a line of the log of `node`; None for any other line, and for half a line of a process that was killed."""
    words = line.rstrip("\n").split(" ", 4)
    if len(words) < 4 or words[0] != PREFIX or not words[1].isdigit() or not line.endswith("\n"):
        return None
    return Span(int(words[1]), node, words[2], words[3], words[4] if len(words) > 4 else "")


def from_logs(folder: Path | None) -> list[Span]:
    """Collect all spans of the logs `NODE.log` in this folder, in the order of time."""
    spans: list[Span] = []
    for path in sorted(folder.glob("*.log")) if folder else ():
        with suppress(OSError), path.open(encoding="utf-8", errors="replace") as lines:
            spans += (span for line in lines if (span := parse(path.stem, line)))
    return sorted(spans, key=lambda span: span.at_ns)


def from_simulation(lines: Iterable[tuple[float, str, str]]) -> list[Span]:
    """Convert the trace lines of the simulator: (seconds, node, `txn what detail`)."""
    spans = []
    for at_s, node, words in lines:
        txn, what, detail = words.split(" ", 2)
        spans.append(Span(round(at_s * 1e9), node, txn, what, detail))
    return spans


def encode(spans: Iterable[Span]) -> bytes:
    """Encode one span a line."""
    return b"".join(msgspec.json.encode(span) + b"\n" for span in spans)


def read(folder: Path) -> list[Span]:
    """Read the spans of a run folder; none if the file is missing or damaged: no verdict depends on them."""
    path = folder / FILE
    return list(_read(path if path.exists() else folder / FORMER_FILE))


def _read(path: Path) -> Iterator[Span]:
    decode = msgspec.json.Decoder(Span).decode
    with suppress(OSError, msgspec.DecodeError), path.open("rb") as lines:
        for line in lines:
            yield decode(line)
