"""Tables as text: columns of one width for a terminal, and the lines of a Markdown table."""

from collections.abc import Iterable, Iterator, Sequence


def align(rows: Iterable[Sequence[object]]) -> Iterator[list[str]]:
    """Yield the rows as texts padded to one width a column. The first row has the names; None becomes a dash."""
    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]


def lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the lines of a table with aligned columns."""
    for row in align(rows):
        yield "  ".join(row).rstrip()


def markdown_line(cells: Iterable[str]) -> str:
    """Return one line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
