"""The format number of every file that a run, a bench or a search leaves, and its check where the file is read.

A number is raised whenever a reader of the former format would misunderstand the file. A reader looks at it first: a file of
another format is not read as if it were of this one, whatever else it says.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

RUN_RECORD = 2
"""Of `run.toml`. Format 1 has `boundary` for `failpoint`."""

BENCH_RECORD = 1
"""Of `bench.json`."""

COUNTEREXAMPLE = 2
"""Of `counterexample.json`. Format 1 has other words for invariants and effects, by which steps are compared."""

RESULTS = 2
"""Of `results.json`. Format 1 has no `not_judged`."""

RESULTS_READABLE = (1, RESULTS)


class Unreadable(ValueError):
    """A file is damaged, or of a format that this wdm does not know; the message names the file, and what to do."""


def document(file: Path, known: Iterable[int], way_out: str) -> dict[str, Any]:
    """The JSON object in a file whose `format` is `known`. Raises `Unreadable`; `way_out` is a whole sentence's end."""
    try:
        found = msgspec.json.decode(file.read_bytes())
    except OSError as error:
        raise Unreadable(f"{file}: it cannot be read ({error.strerror}); {way_out}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{file}: it is damaged ({error}); {way_out}") from error
    if not isinstance(found, dict):
        raise Unreadable(f"{file}: it is damaged (it contains no JSON object); {way_out}")
    check(file, found.get("format"), known, way_out)
    return found


def check(file: Path, found: object, known: Iterable[int], way_out: str) -> None:
    """Raise `Unreadable` unless the format that a file names is known."""
    numbers = [*known]
    if type(found) is not int or found not in numbers:
        there = "no format" if found is None else f"format {found!r}"
        raise Unreadable(f"{file}: it has {there}, this wdm reads {', '.join(map(str, numbers))}; {way_out}")


def damaged(file: Path, error: Exception, way_out: str) -> Unreadable:
    """What to raise where a document has not the values that its format has."""
    return Unreadable(f"{file}: it is damaged ({error}); {way_out}")
