"""Latencies of several cases on one scale: median, 90th and 99th percentile."""

from collections.abc import Sequence

from markupsafe import Markup

from harness.metrics.measure import Measured
from harness.report.html.svg import (
    NARROW,
    WIDE,
    Figure,
    Look,
    decades,
    drawing,
    hit,
    logarithmic,
    mark,
    milliseconds,
    tag,
    text,
)

ROW, TOP = 30.0, 26.0
SHOWN = ("p50_ms", "p90_ms", "p99_ms")


def figure(name: str, title: str, cases: Sequence[tuple[str, Look, Measured]]) -> Figure:
    measured_cases = [case for case in cases if case[2].latency["p50_ms"] is not None]
    about = "Latency from the median to the 99th percentile, on a logarithmic scale. " + " ".join(
        f"{label}: {measured.latency['p50_ms']:.1f} to {measured.latency['p99_ms']:.1f} ms."
        for label, _, measured in measured_cases
    )
    drawn = {width: _drawn(width, title, about, measured_cases) for width in (WIDE, NARROW)}
    return Figure(
        name=name,
        title=title,
        about=about,
        wide=drawn[WIDE],
        narrow=drawn[NARROW],
        headers=("case", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "mean ms"),
        rows=[(label, *measured.latency.values()) for label, _, measured in cases],
    )


def _drawn(width: int, title: str, about: str, cases: Sequence[tuple[str, Look, Measured]]) -> Markup:
    wide = width > NARROW
    left, row = (250.0, ROW) if wide else (12.0, ROW + 14)
    values = [measured.latency[key] or 0.05 for _, _, measured in cases for key in SHOWN]
    low, high = max(min(values, default=1) * 0.7, 0.05), max(values, default=10) * 1.4
    x = logarithmic(low, high, left, width - 14.0)
    bottom = TOP + row * len(cases)
    parts = [
        tag("line", class_="grid", x1=x(at), x2=x(at), y1=TOP - 6, y2=bottom)
        + text(milliseconds(at), x(at), TOP - 12, class_="tick mid")
        for at in decades(low, high)
    ]
    hits = []
    for number, (name, look, measured) in enumerate(cases):
        y = TOP + row * number + (ROW / 2 if wide else ROW / 2 + 12)
        p50, p90, p99 = (x(measured.latency[key] or low) for key in SHOWN)
        parts.append(
            text(name, left - 12, y + 4, class_="name end") if wide else text(name, left, y - 12, class_="name")
        )
        parts.append(tag("line", class_=f"range {look.kind}", x1=p50, x2=p99, y1=y, y2=y))
        parts.append(tag("line", class_=f"range-tick {look.kind}", x1=p90, x2=p90, y1=y - 5, y2=y + 5))
        parts.append(tag("line", class_=f"range-end {look.kind}", x1=p99, x2=p99, y1=y - 7, y2=y + 7))
        parts.append(mark(look, p50, y, 4.6))
        quantiles = ", ".join(f"{key.removesuffix('_ms')} {measured.latency[key]:.1f} ms" for key in SHOWN)
        hits.append(hit(f"{name}: {quantiles}", 0, y - row / 2, width, row))
    return drawing(width, bottom + 6, title, about, *parts, tag("g", *hits, class_="hits"), kind="ranges")
