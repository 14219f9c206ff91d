"""Each safeguard, taken out, is found missing, as ``docs/ablations.md`` says it is."""

from pathlib import Path

import pytest

from harness.ablations import Row, line, render, rows

PAGE = (Path(__file__).parents[2] / "docs/ablations.md").read_text("utf-8")


@pytest.mark.parametrize("row", tuple(rows()), ids=lambda row: f"{row.protocol}-{row.safeguard.name}")
def test_without_a_safeguard_it_breaks_as_the_page_says(row: Row) -> None:
    assert row.found.shortest
    assert line(row) in PAGE.splitlines(), "`make docs` writes the page anew"


def test_the_page_has_every_safeguard_and_nothing_else() -> None:
    told = [text.split("`")[1] for text in PAGE.splitlines() if text.startswith("| `")]
    assert told == [row.safeguard.name for row in rows()]


@pytest.mark.slow
def test_the_page_is_what_is_written_today() -> None:
    assert render() == PAGE
