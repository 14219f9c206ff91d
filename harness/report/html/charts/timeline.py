"""A run over time: rate, latency and availability, with its faults in the background."""

from collections.abc import Iterator

from markupsafe import Markup

from harness.metrics.measure import Measured
from harness.report.html.charts import availability, latency, rate
from harness.report.html.charts.frame import LEFT, Frame, active
from harness.report.html.svg import NARROW, WIDE, Figure, drawing, hit, tag

GAP = 34.0


def figure(name: str, title: str, measured: Measured) -> Figure:
    about = _about(measured)
    draw = {width: _drawn(Frame(measured, width), f"{title}, over time", about) for width in (WIDE, NARROW)}
    legend = [
        ("o-ok", "acknowledged"),
        ("o-fail", "rejected"),
        ("o-unknown", "unknown"),
        ("k-p50", "median"),
        ("k-p99", "99th percentile"),
    ]
    if measured.faults:
        legend += [("k-fault", "a fault"), ("k-blocked", "until the next success of a checkout")]
    return Figure(
        name=name,
        title=title,
        about=about,
        wide=draw[WIDE],
        narrow=draw[NARROW],
        headers=("from s", "acknowledged", "rejected", "unknown", "p50 ms", "p99 ms", "max ms", "in time", "faults on"),
        rows=[
            (
                f"{measured.load_at_s + part.at_s:.1f}",
                part.ok,
                part.fail,
                part.unknown,
                part.p50_ms,
                part.p99_ms,
                part.max_ms,
                part.in_time,
                active(measured, part.at_s, part.at_s + measured.slice_s) or "-",
            )
            for part in measured.slices
        ],
        legend=legend,
    )


def _drawn(frame: Frame, title: str, about: str) -> Markup:
    top = GAP
    rate_top = top
    latency_top = rate_top + rate.HEIGHT + GAP
    strip_top = latency_top + latency.HEIGHT + GAP - 8
    bottom = strip_top + availability.HEIGHT
    inside = (
        frame.faults(rate_top, bottom),
        rate.panel(frame, rate_top),
        latency.panel(frame, latency_top),
        frame.blocked(latency_top - 2),
        availability.panel(frame, strip_top),
        frame.axis(bottom),
        tag("g", *_hits(frame, rate_top, bottom - rate_top), class_="hits"),
    )
    return drawing(frame.width, bottom + 24, title, about, *inside, kind="timeline")


def _hits(frame: Frame, top: float, height: float) -> Iterator[str]:
    measured = frame.measured
    for part in measured.slices:
        begin, end = frame.clip(part.at_s), frame.clip(part.at_s + measured.slice_s)
        at_s = measured.load_at_s + part.at_s
        counts = f"{part.ok} acknowledged, {part.fail} rejected, {part.unknown} unknown"
        words = f"{at_s:.1f} to {at_s + measured.slice_s:.1f} s: {counts}"
        if part.p50_ms is not None:
            words += f"; median {part.p50_ms:.1f} ms, 99th percentile {part.p99_ms:.1f} ms"
        on = active(measured, part.at_s, part.at_s + measured.slice_s)
        yield hit(words + (f"; {on}" if on else ""), max(begin, LEFT), top, end - begin, height)


def _about(measured: Measured) -> str:
    words = f"{measured.asked} checkouts in {measured.load_s:.0f} seconds, {measured.rate_per_s:.0f} successes a second"
    if measured.latency["p99_ms"] is not None:
        words += f"; median {measured.latency['p50_ms']:.1f} ms, 99th percentile {measured.latency['p99_ms']:.0f} ms"
    if measured.faults:
        words += f"; {len(measured.faults)} faults"
        if measured.blocked_s:
            words += f", the longest wait for a success after the start of one: {measured.blocked_s:.1f} s"
    return f"{words}."
