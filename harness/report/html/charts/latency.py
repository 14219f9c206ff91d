"""The latency of checkouts over their due times: median and 99th percentile, on a logarithmic scale."""

from harness.report.html.charts.frame import LEFT, RIGHT, Frame
from harness.report.html.svg import decades, logarithmic, milliseconds, path, tag, text

HEIGHT = 132.0


def panel(frame: Frame, top: float) -> str:
    slices = frame.measured.slices
    values = [value for part in slices for value in (part.p50_ms, part.p99_ms) if value]
    low, high = max(min(values, default=1.0) * 0.8, 0.05), max(values, default=10.0) * 1.2
    y = logarithmic(low, high, top + HEIGHT, top)
    grid = "".join(
        tag("line", class_="grid", x1=LEFT, x2=frame.width - RIGHT, y1=y(at), y2=y(at))
        + text(milliseconds(at), LEFT - 6, y(at) + 4, class_="tick end")
        for at in decades(low, high)
    )
    half = frame.measured.slice_s / 2
    lines = []
    for name, kind in (("p99_ms", "p99"), ("p50_ms", "p50")):
        run: list[tuple[float, float]] = []
        for part in [*slices, None]:
            value = getattr(part, name) if part else None
            if part is not None and value is not None:
                run.append((frame.clip(part.at_s + half), y(value)))
            elif run:
                lines.append(path(run, class_=f"line {kind}"))
                run = []
    return grid + "".join(lines) + text("latency", LEFT, top - 8, class_="label")
