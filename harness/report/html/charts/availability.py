"""A strip over time: which share of the checkouts due then was answered for certain within a second."""

from harness.metrics.measure import Slice
from harness.report.html.charts.frame import LEFT, Frame
from harness.report.html.svg import tag, text

HEIGHT = 14.0


def panel(frame: Frame, top: float) -> str:
    cells = []
    for each in frame.measured.slices:
        begin, end = frame.clip(each.at_s), frame.clip(each.at_s + frame.measured.slice_s)
        cells.append(
            tag("rect", class_=f"avail {level(each)}", x=begin, y=top, width=max(end - begin - 0.6, 0.6), height=HEIGHT)
        )
    return "".join(cells) + text("answered within 1 s", LEFT, top - 6, class_="label")


def share(each: Slice) -> float | None:
    asked = each.ok + each.fail + each.unknown
    return each.in_time / asked if asked else None


def level(each: Slice) -> str:
    """`all`, `most`, `some`, `none` of them, or `nobody` asked."""
    found = share(each)
    if found is None:
        return "nobody"
    return "all" if found >= 0.999 else "most" if found >= 0.5 else "some" if found > 0.01 else "none"
