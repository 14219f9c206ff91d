"""How the command line speaks: results on stdout, everything else on stderr, colour only where somebody sees it."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

_COLOURS = {
    "running": "green",
    "ok": "green",
    "starting": "yellow",
    "paused": "yellow",
    "absent": "yellow",
    "down": "red",
    "missing": "red",
}


class Voice:
    """Whether progress and hints are wanted; ``--quiet`` sets it for the whole process."""

    quiet = False


def say(text: str) -> None:
    """Progress: one line on stderr, unless ``--quiet``."""
    if not Voice.quiet:
        click.echo(text, err=True)


def next_step(text: str) -> None:
    """The next useful command."""
    say(f"next: {text}")


def name_leftovers() -> None:
    """Name whatever a command that was killed has left behind, and the command that removes it."""
    from harness.runtimes import leftovers  # noqa: PLC0415 - not every command looks

    for words in leftovers.found():
        say(f"left behind by a command that was killed: {words}; `{leftovers.REMOVE}` removes it")


def complain(text: str) -> None:
    """What went wrong: one line on stderr, always."""
    click.echo(f"{_painted('error', 'red', sys.stderr.isatty())}: {' '.join(text.split())}", err=True)


def document(value: Any) -> None:
    """A result as one JSON document."""
    click.echo(json.dumps(value, indent=2))


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, err: bool = False) -> None:
    """Aligned columns. On stdout it is a result; with ``err`` it is progress, and ``--quiet`` drops it."""
    if err and Voice.quiet:
        return
    cells = [tuple(headers), *(tuple("-" if cell is None else str(cell) for cell in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    coloured = (sys.stderr if err else sys.stdout).isatty()
    for row in cells:
        padded = (
            _painted(cell, _COLOURS.get(cell, ""), coloured) + " " * (width - len(cell))
            for cell, width in zip(row, widths, strict=True)
        )
        click.echo("  ".join(padded).rstrip(), err=err)


def _painted(text: str, colour: str, wanted: bool) -> str:
    return click.style(text, fg=colour) if wanted and colour and not os.environ.get("NO_COLOR") else text
