"""The drawing of a sequence diagram: time from top to bottom, with a column for the client, each service and each store."""

from collections.abc import Sequence

from harness.report.html.sequence_diagram import CLIENT, SequenceDiagram, SequenceEntry
from harness.report.html.svg import Figure, drawing, hit, tag, text

GUTTER, COLUMN, ROW, TOP = 62.0, 118.0, 27.0, 46.0
SHORT = 8


def figure(name: str, title: str, diagram: SequenceDiagram) -> Figure:
    """Draw the diagram. Both widths have the same drawing; a narrow screen scrolls it sideways."""
    columns = (CLIENT, *diagram.nodes)
    about = f"{title}: {len(diagram.entries)} steps between {', '.join(columns)}."
    width = round(GUTTER + COLUMN * len(columns))
    x = {column: GUTTER + COLUMN * (number + 0.5) for number, column in enumerate(columns)}
    bottom = TOP + ROW * (len(diagram.entries) + 0.5)
    parts = [_lifeline(column, x[column], bottom) for column in columns]
    parts += [
        _entry(entry, x, TOP + ROW * (row + 0.7), width, diagram.start_ns) for row, entry in enumerate(diagram.entries)
    ]
    hits = [
        hit(sentence(entry, diagram.start_ns), 0, TOP + ROW * (row + 0.2), width, ROW)
        for row, entry in enumerate(diagram.entries)
    ]
    drawn = drawing(width, bottom + 8, title, about, *parts, tag("g", *hits, class_="hits"), kind="sequence")
    return Figure(
        name=name,
        title=title,
        about=about,
        wide=drawn,
        narrow=drawn,
        headers=("at s", "from", "to", "message", "took ms"),
        rows=[_row(entry, diagram.start_ns) for entry in diagram.entries],
    )


def sentence(entry: SequenceEntry, start_ns: int) -> str:
    """Describe an entry in a sentence for the readout."""
    at = f"{(entry.at_ns - start_ns) / 1e9:.3f} s: "
    match entry.kind:
        case "fault" | "note":
            return f"{at}{'' if entry.kind == 'fault' else f'{entry.source} '}{entry.words}"
        case "store":
            how = "a forced write" if entry.forced else "not awaited"
            took = "without an answer of its own" if entry.took_ms is None else f"{entry.took_ms:.2f} ms"
            return f"{at}{entry.source} to {entry.target}: {entry.words} ({how}), {took}"
        case "lost":
            return f"{at}{entry.source} to {entry.target}: {entry.words}; no record of its arrival"
        case _:
            took = "" if entry.took_ms is None else f", {entry.took_ms:.2f} ms"
            return f"{at}{entry.source} to {entry.target}: {entry.words}{took}"


def _row(entry: SequenceEntry, start_ns: int) -> Sequence[object]:
    took = "-" if entry.took_ms is None else f"{entry.took_ms:.2f}"
    words = (
        f"{entry.words} (forced)" if entry.forced else f"{entry.words} (lost)" if entry.kind == "lost" else entry.words
    )
    return f"{(entry.at_ns - start_ns) / 1e9:.4f}", entry.source, entry.target, words, took


def _lifeline(column: str, x: float, bottom: float) -> str:
    kind = "store" if column.endswith("-store") else "client" if column == CLIENT else "service"
    return tag("line", class_=f"lifeline {kind}", x1=x, x2=x, y1=TOP - 8, y2=bottom) + text(
        column, x, TOP - 18, class_=f"column mid {kind}"
    )


def _entry(entry: SequenceEntry, x: dict[str, float], y: float, width: float, start_ns: int) -> str:
    time = text(f"{(entry.at_ns - start_ns) / 1e9:.3f}", GUTTER - 8, y + 4, class_="tick end")
    source, target = x.get(entry.source), x.get(entry.target)
    if entry.kind == "fault":
        return _fault(entry, source, y, width) + time
    if source is None or target is None or entry.kind == "note":
        return text(entry.words, (source or GUTTER) + 6, y + 4, class_="note") + time
    return _arrow(entry, source, target, y) + time


def _fault(entry: SequenceEntry, x: float | None, y: float, width: float) -> str:
    band = tag("rect", class_="fault-row", x=GUTTER, y=y - 11, width=width - GUTTER, height=ROW - 6)
    cross = ""
    right = x is not None and x > width - COLUMN
    at = GUTTER + 12 if x is None else x - 12 if right else x + 12
    if x is not None and not entry.words.endswith(" runs"):
        cross = "".join(
            tag("line", class_="cross", x1=x - 6, x2=x + 6, y1=y - 6 * way, y2=y + 6 * way) for way in (1, -1)
        )
    return band + cross + text(entry.words, at, y + 4, class_=f"fault-words{' end' if right else ''}")


def _arrow(entry: SequenceEntry, source: float, target: float, y: float) -> str:
    way = 1 if target >= source else -1
    kind = f"arrow {entry.kind}{' forced' if entry.forced else ''}"
    end = (source + target) / 2 if entry.kind == "lost" else target - way * 2
    line = tag("line", class_=kind, x1=source, x2=end, y1=y, y2=y)
    if entry.kind == "lost":
        head = "".join(tag("line", class_="cross", x1=end - 4, x2=end + 4, y1=y - 4 * s, y2=y + 4 * s) for s in (1, -1))
    else:
        head = tag(
            "polygon",
            class_=f"head {entry.kind}",
            points=f"{end:.0f},{y:.0f} {end - way * 7:.0f},{y - 4:.0f} {end - way * 7:.0f},{y + 4:.0f}",
        )
    room = abs(target - source)
    short = entry.words.partition(":")[0] if entry.kind == "client" else entry.words
    words = _fitting(f"{short}{' ●' if entry.forced else ''}", room)
    return line + head + text(words, (source + target) / 2, y - 5, class_=f"words mid {entry.kind}")


def _fitting(words: str, room: float) -> str:
    """Shorten a text to its room; the readout has the whole text."""
    most = max(SHORT, int(room / 6.2))
    return words if len(words) <= most else f"{words[: most - 1]}…"
