"""Output of the command line: results on stdout, everything else on stderr, colour only in a terminal."""

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from harness.report import text_table

_COLOURS = {
    "running": "green",
    "ok": "green",
    "starting": "yellow",
    "paused": "yellow",
    "absent": "yellow",
    "down": "red",
    "missing": "red",
}


class Output:
    """The choice between progress and silence, which `--quiet` makes for the whole process."""

    quiet = False


def progress(text: str) -> None:
    """Print a line of progress on stderr, unless `--quiet`."""
    if not Output.quiet:
        click.echo(text, err=True)


def next_step(text: str) -> None:
    """Print the next useful command on stderr, unless `--quiet`."""
    progress(f"next: {text}")


def name_leftovers() -> None:
    """Name the leftovers of a killed command, and the command that removes them."""
    from harness.runtimes import leftovers  # noqa: PLC0415 - not every command looks

    for phrase in leftovers.describe_all():
        progress(f"left behind by a killed command: {phrase}; `{leftovers.REMOVE}` removes it")


def error(text: str) -> None:
    """Print an error as one line on stderr, also with `--quiet`."""
    click.echo(f"{_painted('error', 'red', sys.stderr.isatty())}: {' '.join(text.split())}", err=True)


def document(value: Any) -> None:
    """Print a result as one JSON document on stdout."""
    click.echo(json.dumps(value, indent=2))


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, err: bool = False) -> None:
    """Print aligned columns: a result on stdout, or with `err` progress, which `--quiet` drops."""
    if err and Output.quiet:
        return
    coloured = (sys.stderr if err else sys.stdout).isatty()
    for row in text_table.align([headers, *rows]):
        click.echo("  ".join(_painted_cell(cell, coloured) for cell in row).rstrip(), err=err)


def _painted_cell(cell: str, wanted: bool) -> str:
    """Return the cell with the colour of its text, and with its padding behind the colour's end."""
    text = cell.rstrip()
    return _painted(text, _COLOURS.get(text, ""), wanted) + " " * (len(cell) - len(text))


def _painted(text: str, colour: str, wanted: bool) -> str:
    return click.style(text, fg=colour) if wanted and colour and not os.environ.get("NO_COLOR") else text
