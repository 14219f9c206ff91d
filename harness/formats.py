"""The format number of every file that a run, a bench or a search leaves, and its check where the file is read.

A number is raised whenever a reader of the former format would misunderstand the file. A reader checks it first, so that a
file of another format is never read as if it were of this one.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

RUN_RECORD = 2
"""The format of `run.toml`. Format 1 has `boundary` for `failpoint`."""

BENCH_RECORD = 1
"""The format of `bench.json`."""

COUNTEREXAMPLE = 2
"""The format of `counterexample.json`. Format 1 has other words for invariants and effects, by which steps are compared."""

RESULTS = 2
"""The format of `results.json`. Format 1 has no `not_judged`."""

RESULTS_READABLE = (1, RESULTS)


class Unreadable(ValueError):
    """A file that is damaged or of an unknown format; the message names the file and the way out."""


def document(file: Path, known: Iterable[int], way_out: str) -> dict[str, Any]:
    """Read the JSON object in a file whose `format` is `known`.

    Raises `Unreadable`, whose message ends with `way_out`.
    """
    try:
        content = msgspec.json.decode(file.read_bytes())
    except OSError as error:
        raise Unreadable(f"{file}: it cannot be read ({error.strerror}); {way_out}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"{file}: it is damaged ({error}); {way_out}") from error
    if not isinstance(content, dict):
        raise Unreadable(f"{file}: it is damaged (it contains no JSON object); {way_out}")
    check(file, content.get("format"), known, way_out)
    return content


def check(file: Path, number: object, known: Iterable[int], way_out: str) -> None:
    """Raise `Unreadable` unless the format number of a file is among the known ones."""
    numbers = [*known]
    if type(number) is not int or number not in numbers:
        actual = "no format" if number is None else f"format {number!r}"
        raise Unreadable(f"{file}: it has {actual}, this wdm reads {', '.join(map(str, numbers))}; {way_out}")


def damaged(file: Path, error: Exception, way_out: str) -> Unreadable:
    """Return the error of a document whose values do not fit its format."""
    return Unreadable(f"{file}: it is damaged ({error}); {way_out}")
