"""Checkouts a second over time, stacked by outcome."""

from harness.metrics.measure import Slice
from harness.report.html.charts.frame import LEFT, RIGHT, Frame
from harness.report.html.svg import linear, tag, text, ticks

HEIGHT = 92.0
KINDS = ("ok", "fail", "unknown")


def panel(frame: Frame, top: float) -> str:
    """Draw the stacks, with the successes at the bottom."""
    measured = frame.measured
    highest = max((_all(part) for part in measured.slices), default=0) / measured.slice_s
    y = linear(0, highest or 1, top + HEIGHT, top)
    grid = "".join(
        tag("line", class_="grid", x1=LEFT, x2=frame.width - RIGHT, y1=y(at), y2=y(at))
        + text(f"{at:g}", LEFT - 6, y(at) + 4, class_="tick end")
        for at in ticks(highest, 3)
    )
    bars = []
    for part in measured.slices:
        begin, end = frame.clip(part.at_s), frame.clip(part.at_s + measured.slice_s)
        below = 0
        for kind in KINDS:
            count = getattr(part, kind)
            if count:
                low, high = y(below / measured.slice_s), y((below + count) / measured.slice_s)
                bars.append(
                    tag(
                        "rect",
                        class_=f"o-{kind}",
                        x=begin,
                        y=high,
                        width=max(end - begin - 0.6, 0.6),
                        height=low - high,
                    )
                )
            below += count
    return grid + "".join(bars) + text("checkouts/s", LEFT, top - 21, class_="label")


def _all(part: Slice) -> int:
    return part.ok + part.fail + part.unknown
