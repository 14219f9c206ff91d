"""What services did for each transaction, step by step, as `protocols.service.trace` notes it: read from what nodes said."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from protocols.service.trace import MARK

FILE = "steps.ndjson"
"""In a run folder: one step a line, in order of time."""


class Step(msgspec.Struct, frozen=True, gc=False):
    """`node` did or heard `what` (`send:prepare`, `persisted:commit`) for `txn`, at a time of the history's clock."""

    at_ns: int
    node: str
    txn: str
    what: str
    detail: str = ""


def parse(node: str, line: str) -> Step | None:
    """A line of a node's log; None if it is no step, or not a whole one: its writer was killed."""
    words = line.rstrip("\n").split(" ", 4)
    if len(words) < 4 or words[0] != MARK or not words[1].isdigit() or not line.endswith("\n"):
        return None
    return Step(int(words[1]), node, words[2], words[3], words[4] if len(words) > 4 else "")


def in_logs(folder: Path | None) -> list[Step]:
    """All steps in the logs `NODE.log` of this folder, in order of time."""
    found: list[Step] = []
    for path in sorted(folder.glob("*.log")) if folder else ():
        with suppress(OSError), path.open(encoding="utf-8", errors="replace") as lines:
            found += (step for line in lines if (step := parse(path.stem, line)))
    return sorted(found, key=lambda step: step.at_ns)


def simulated(lines: Iterable[tuple[float, str, str]]) -> list[Step]:
    """The same of what the simulator kept: (seconds, node, `txn what detail`)."""
    found = []
    for at_s, node, words in lines:
        txn, what, detail = words.split(" ", 2)
        found.append(Step(round(at_s * 1e9), node, txn, what, detail))
    return found


def written(steps: Iterable[Step]) -> bytes:
    return b"".join(msgspec.json.encode(step) + b"\n" for step in steps)


def read(folder: Path) -> list[Step]:
    """Those that a run folder keeps; none if it is of before, or damaged: a picture less, and no verdict stands on it."""
    return list(_read(folder / FILE))


def _read(path: Path) -> Iterator[Step]:
    decode = msgspec.json.Decoder(Step).decode
    with suppress(OSError, msgspec.DecodeError), path.open("rb") as lines:
        for line in lines:
            yield decode(line)
