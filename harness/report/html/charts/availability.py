"""The availability over time, as a strip: the share of checkouts with a certain answer within a second."""

from harness.metrics.measure import Slice
from harness.report.html.charts.frame import LEFT, Frame
from harness.report.html.svg import tag, text

HEIGHT = 14.0


def panel(frame: Frame, top: float) -> str:
    cells = []
    for part in frame.measured.slices:
        begin, end = frame.clip(part.at_s), frame.clip(part.at_s + frame.measured.slice_s)
        cells.append(
            tag("rect", class_=f"avail {level(part)}", x=begin, y=top, width=max(end - begin - 0.6, 0.6), height=HEIGHT)
        )
    return "".join(cells) + text("answered within 1 s", LEFT, top - 6, class_="label")


def share(part: Slice) -> float | None:
    asked = part.ok + part.fail + part.unknown
    return part.in_time / asked if asked else None


def level(part: Slice) -> str:
    """Return the class of a slice: `all`, `most`, `some` or `none` of its checkouts; `nobody` without a checkout."""
    served = share(part)
    if served is None:
        return "nobody"
    return "all" if served >= 0.999 else "most" if served >= 0.5 else "some" if served > 0.01 else "none"
