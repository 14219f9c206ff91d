"""Each ablated safeguard leads to the violation in ``docs/ablations.md``, in the search and in the simulator."""

from pathlib import Path

import pytest

from harness.chaos import ablations
from harness.chaos.ablations import SEARCHED, AblationRow, cells, rows
from harness.chaos.hunt import run_without

PAGE = (Path(__file__).parents[2] / "docs/ablations.md").read_text("utf-8")


def page_cells(row: AblationRow) -> list[str]:
    """Return the row's cells on the page."""
    section = PAGE.partition(f"\n## {row.section}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith(f"| `{row.safeguard.name}`:")]
    assert len(lines) == 1, "`make docs` writes the page anew"
    return lines[0].strip("| ").split(" | ")


QUICK = {"unanimous", "force-commit", "force-prepare", "order-lock", "fence-inquiry", "revoke", "confirm"}
"""Each kind of row once in the quick tests."""
ROWS = [
    pytest.param(
        row,
        id=f"{row.section}-{row.safeguard.name}",
        marks=() if row.protocol != "saga" and row.safeguard.name in QUICK else pytest.mark.slow,
    )
    for row in rows()
]


@pytest.mark.parametrize("row", ROWS)
def test_without_a_safeguard_the_violation_is_that_of_the_page(row: AblationRow) -> None:
    assert row.broken.shortest if row.safeguard.searched else not row.results
    page = page_cells(row)
    assert page[: len(SEARCHED)] == cells(row, SEARCHED), "`make docs` writes the page anew"
    scenario, _, seed = page[len(SEARCHED)].replace("`", "").partition(" ")
    if row.safeguard.simulated and scenario != "none":
        assert run_without(row.protocol, row.safeguard.name, scenario, int(seed)).names


def test_the_simulator_misses_only_what_takes_a_late_copy_of_a_command() -> None:
    """That is searched for: a store may execute it long after its sender has given the connection up."""
    missed = [row for row in rows() if page_cells(row)[len(SEARCHED)] == "none"]
    assert missed
    assert all("late commands" in page_cells(row)[2] for row in missed), missed


def test_the_page_has_every_safeguard_and_nothing_else() -> None:
    names = [text.split("`")[1] for text in PAGE.splitlines() if text.startswith("| `")]
    assert names == [row.safeguard.name for row in rows()]


def test_the_page_is_written_by_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row is judged above. That a seed is the first one takes thousands of runs, and only `make docs` looks for it."""
    monkeypatch.setattr(ablations, "cells", page_cells)
    assert ablations.render() == PAGE
