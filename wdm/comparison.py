"""The comparison of a bench in the terminal."""

import sys
from typing import Any

import click

from harness.metrics.thresholds import COST
from harness.report.tables import Column, shown_columns, shown_value
from wdm import ui

NAMES = frozenset(("protocol", "scenario", "setting"))
NAME = Column("name", "case", lambda row: row["name"])
COLOURS = {"holds": "green", "violated": "bold red", "unknown": "yellow"}
STANDING = {
    "claimed-and-held": "held",
    "claimed-and-violated": "VIOLATED",
    "not-claimed-and-seen": "seen, not claimed",
    "unknown": "unknown",
    "not-applicable": "not judged",
}


def show(document: dict[str, Any]) -> None:
    """Print a row for each case, the standing of each checker, and the --fail-if conditions.

    Without a terminal the tables are plain aligned lines.
    """
    rows = document["rows"]
    if rows:
        _figures(rows)
        checkers = list(dict.fromkeys(name for row in rows for name in row["standings"] if name != "stats"))
        _table(
            ["claims", *checkers],
            [[row["name"], *(STANDING[row["standings"][name]] for name in checkers)] for row in rows],
        )
        click.echo()
    for row in rows:
        if row["not_judged"]:
            click.echo(f"{row['name']}: {row['verdict']}, not judged: {', '.join(row['not_judged'])}")
    for row in rows:
        for name, count in row["violations"].items():
            click.echo(f"{row['name']}: {name}, {count} times")
    for condition in document["thresholds"]:
        how = (
            "not measured"
            if condition["unmeasured"]
            else "no"
            if condition["met"]
            else f"yes: {'; '.join(condition['crossed_by'])}"
        )
        click.echo(f"fail if {condition['text']}: {how}")
    for reason in document["reasons"]:
        click.echo(f"because {reason}")
    click.echo(f"verdict: {document['verdict']}")


def _figures(rows: list[dict[str, Any]]) -> None:
    """Print one wide table for programs, or two narrow tables with the name of each row for a terminal."""
    columns = shown_columns(rows)
    parts = [columns]
    if sys.stdout.isatty():
        rest = [column for column in columns if column.name not in NAMES]
        parts = [[NAME, *(column for column in rest if (column.name in COST) is cost)] for cost in (False, True)]
    for part in parts:
        _table(
            [column.title for column in part],
            [[shown_value(column.of(row), column.digits) for column in part] for row in rows],
        )
        click.echo()


def _table(headers: list[str], cells: list[list[str]]) -> None:
    if not sys.stdout.isatty():
        ui.table(headers, cells)
        return
    from rich.console import Console  # noqa: PLC0415 - only for a terminal
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, header in enumerate(headers):
        figures = all(row[number] == "-" or row[number].replace(".", "").isdigit() for row in cells)
        table.add_column(header, justify="right" if figures else "left", no_wrap=figures)
    for row in cells:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "red" if cell == "VIOLATED" else "")) for cell in row))
    Console().print(table)
