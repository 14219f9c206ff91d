"""The comparison of a bench in the terminal."""

import sys
from typing import Any

import click

from harness.metrics.thresholds import COST
from harness.report.tables import Column, shown, told
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
    """A row a case, then each checker's standing, then what the caller asked for. Without a terminal: plain aligned lines."""
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
    for each in document["thresholds"]:
        how = "not measured" if each["unmeasured"] else "no" if each["met"] else f"yes: {'; '.join(each['crossed_by'])}"
        click.echo(f"fail if {each['text']}: {how}")
    for reason in document["reasons"]:
        click.echo(f"because {reason}")
    click.echo(f"verdict: {document['verdict']}")


def _figures(rows: list[dict[str, Any]]) -> None:
    """One wide table for whatever reads lines; in a terminal two that fit, with a name a row."""
    columns = shown(rows)
    parts = [columns]
    if sys.stdout.isatty():
        rest = [each for each in columns if each.name not in NAMES]
        parts = [[NAME, *(each for each in rest if (each.name in COST) is cost)] for cost in (False, True)]
    for part in parts:
        _table([each.title for each in part], [[told(each.of(row), each.digits) for each in part] for row in rows])
        click.echo()


def _table(headers: list[str], cells: list[list[str]]) -> None:
    if not sys.stdout.isatty():
        ui.table(headers, cells)
        return
    from rich.console import Console  # noqa: PLC0415 - only where a terminal is seen to be there
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, header in enumerate(headers):
        figures = all(row[number] == "-" or row[number].replace(".", "").isdigit() for row in cells)
        table.add_column(header, justify="right" if figures else "left", no_wrap=figures)
    for row in cells:
        table.add_row(*(Text(cell, style=COLOURS.get(cell, "red" if cell == "VIOLATED" else "")) for cell in row))
    Console().print(table)
