"""TOML files with errors that name file, line and key."""

import difflib
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from protocols.errors import UsageError

Place = tuple[str | int, ...]
"""The place of a value: `("workload", "users")`, `("fault", 1, "kind")`; arrays count from 0."""

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\]]+?)\s*\]")
_KEY = re.compile(r"\s*([\w\-\"'.]+)\s*=")


class TomlFile:
    """A parsed TOML file; `UsageError` if it cannot be read or parsed. `what` names it in errors: `scenario`."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        try:
            self.text = path.read_text("utf-8")
        except FileNotFoundError:
            raise UsageError(f"{what} {path} does not exist") from None
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{what} {path} cannot be read: {error}") from None
        self.document = self._parse()
        self._lines = _lines(self.text)

    def error_at(self, message: str, *place: str | int) -> UsageError:
        """Return the error `file:line: message`, with the line nearest to `place` that the text shows."""
        for end in range(len(place), 0, -1):
            if place[:end] in self._lines:
                return UsageError(f"{self.path}:{self._lines[place[:end]]}: {message}")
        return UsageError(f"{self.path}: {message}")

    def reject_unknown(self, table: dict[str, Any], known: Iterable[str], *place: str | int) -> None:
        """Raise `UsageError` for the first key of `table` outside `known`, with the nearest known key."""
        names = list(known)
        for key in table:
            if key not in names:
                where = "".join(f" in [{name}]" for name in place[:1])
                raise self.error_at(f"unknown key {key!r}{where}{did_you_mean(key, names)}", *place, key)

    def _parse(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self.text)
        except (
            ValueError,
            RecursionError,
        ) as error:  # a number of 5,000 digits is a ValueError, a thousand brackets a RecursionError
            place = re.search(r"\(at line (\d+), column \d+\)", str(error))
            line = place.group(1) if place else str(max(1, self.text.count("\n")))
            raise UsageError(f"{self.path}:{line}: not valid TOML: {error}") from None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` with the known name nearest to `name`, or a list of all known names."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(sorted(names)) or 'none'}"


def _lines(text: str) -> dict[Place, int]:
    """Map each header and key to its line, from 1.

    `tomllib` has no line numbers. A text over several lines is not recognized: keys in it get lines of their own.
    """
    lines: dict[Place, int] = {}
    counts: dict[str, int] = {}
    table: Place = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header:
            name = header.group(2)
            table = tuple(_parts(name))
            if header.group(1) == "[[":
                counts[name] = counts.get(name, -1) + 1
                lines.setdefault(table, number)
                table = (*table, counts[name])
            lines.setdefault(table, number)
        elif key:
            lines.setdefault((*table, *_parts(key.group(1))), number)
    return lines


def _parts(name: str) -> list[str]:
    return [part.strip().strip("\"'") for part in name.split(".")]
