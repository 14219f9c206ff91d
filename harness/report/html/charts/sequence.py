"""A sequence diagram: who spoke to whom, from top to bottom, a column each for the client, the services and their stores."""

from collections.abc import Sequence

from harness.report.html.story import CLIENT, Beat, Story
from harness.report.html.svg import Figure, drawing, hit, tag, text

GUTTER, COLUMN, ROW, TOP = 62.0, 118.0, 27.0, 46.0
SHORT = 8


def figure(name: str, title: str, story: Story) -> Figure:
    """The same drawing for a desk and for a phone, which scrolls it sideways."""
    columns = (CLIENT, *story.nodes)
    about = f"{title}: {len(story.beats)} steps between {', '.join(columns)}."
    width = round(GUTTER + COLUMN * len(columns))
    x = {column: GUTTER + COLUMN * (number + 0.5) for number, column in enumerate(columns)}
    bottom = TOP + ROW * (len(story.beats) + 0.5)
    parts = [_lifeline(column, x[column], bottom) for column in columns]
    parts += [_beat(beat, x, TOP + ROW * (row + 0.7), width, story.start_ns) for row, beat in enumerate(story.beats)]
    hits = [
        hit(sentence(beat, story.start_ns), 0, TOP + ROW * (row + 0.2), width, ROW)
        for row, beat in enumerate(story.beats)
    ]
    drawn = drawing(width, bottom + 8, title, about, *parts, tag("g", *hits, class_="hits"), kind="sequence")
    return Figure(
        name=name,
        title=title,
        about=about,
        wide=drawn,
        narrow=drawn,
        headers=("at s", "from", "to", "message", "took ms"),
        rows=[_row(beat, story.start_ns) for beat in story.beats],
    )


def sentence(beat: Beat, start_ns: int) -> str:
    """A beat in words, for whoever points at it."""
    at = f"{(beat.at_ns - start_ns) / 1e9:.3f} s: "
    match beat.kind:
        case "fault" | "note":
            return f"{at}{'' if beat.kind == 'fault' else f'{beat.source} '}{beat.words}"
        case "store":
            how = "a forced write" if beat.forced else "not awaited"
            took = "without an answer of its own" if beat.took_ms is None else f"{beat.took_ms:.2f} ms"
            return f"{at}{beat.source} to {beat.target}: {beat.words} ({how}), {took}"
        case "lost":
            return f"{at}{beat.source} to {beat.target}: {beat.words}; no record of its arrival"
        case _:
            took = "" if beat.took_ms is None else f", {beat.took_ms:.2f} ms"
            return f"{at}{beat.source} to {beat.target}: {beat.words}{took}"


def _row(beat: Beat, start_ns: int) -> Sequence[object]:
    took = "-" if beat.took_ms is None else f"{beat.took_ms:.2f}"
    words = f"{beat.words} (forced)" if beat.forced else f"{beat.words} (lost)" if beat.kind == "lost" else beat.words
    return f"{(beat.at_ns - start_ns) / 1e9:.4f}", beat.source, beat.target, words, took


def _lifeline(column: str, x: float, bottom: float) -> str:
    kind = "store" if column.endswith("-store") else "client" if column == CLIENT else "service"
    return tag("line", class_=f"lifeline {kind}", x1=x, x2=x, y1=TOP - 8, y2=bottom) + text(
        column, x, TOP - 18, class_=f"column mid {kind}"
    )


def _beat(beat: Beat, x: dict[str, float], y: float, width: float, start_ns: int) -> str:
    time = text(f"{(beat.at_ns - start_ns) / 1e9:.3f}", GUTTER - 8, y + 4, class_="tick end")
    source, target = x.get(beat.source), x.get(beat.target)
    if beat.kind == "fault":
        return _fault(beat, source, y, width) + time
    if source is None or target is None or beat.kind == "note":
        return text(beat.words, (source or GUTTER) + 6, y + 4, class_="note") + time
    return _arrow(beat, source, target, y) + time


def _fault(beat: Beat, x: float | None, y: float, width: float) -> str:
    band = tag("rect", class_="fault-row", x=GUTTER, y=y - 11, width=width - GUTTER, height=ROW - 6)
    cross = ""
    right = x is not None and x > width - COLUMN
    at = GUTTER + 12 if x is None else x - 12 if right else x + 12
    if x is not None and not beat.words.endswith(" runs"):
        cross = "".join(
            tag("line", class_="cross", x1=x - 6, x2=x + 6, y1=y - 6 * way, y2=y + 6 * way) for way in (1, -1)
        )
    return band + cross + text(beat.words, at, y + 4, class_=f"fault-words{' end' if right else ''}")


def _arrow(beat: Beat, source: float, target: float, y: float) -> str:
    way = 1 if target >= source else -1
    kind = f"arrow {beat.kind}{' forced' if beat.forced else ''}"
    end = (source + target) / 2 if beat.kind == "lost" else target - way * 2
    line = tag("line", class_=kind, x1=source, x2=end, y1=y, y2=y)
    if beat.kind == "lost":
        head = "".join(tag("line", class_="cross", x1=end - 4, x2=end + 4, y1=y - 4 * s, y2=y + 4 * s) for s in (1, -1))
    else:
        head = tag(
            "polygon",
            class_=f"head {beat.kind}",
            points=f"{end:.0f},{y:.0f} {end - way * 7:.0f},{y - 4:.0f} {end - way * 7:.0f},{y + 4:.0f}",
        )
    room = abs(target - source)
    short = beat.words.partition(":")[0] if beat.kind == "client" else beat.words
    words = _fitting(f"{short}{' ●' if beat.forced else ''}", room)
    return line + head + text(words, (source + target) / 2, y - 5, class_=f"words mid {beat.kind}")


def _fitting(words: str, room: float) -> str:
    """As many letters as there is room for; the whole of it is told to whoever points at it."""
    most = max(SHORT, int(room / 6.2))
    return words if len(words) <= most else f"{words[: most - 1]}…"
