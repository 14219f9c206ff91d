"""The distribution of latencies: the quantiles 50 %, 90 %, 99 % and so on, one line a case."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from harness.metrics.histogram import Histogram
from harness.metrics.measure import Measured
from harness.report.html.svg import (
    NARROW,
    WIDE,
    Figure,
    Look,
    Scale,
    decades,
    drawing,
    hit,
    linear,
    logarithmic,
    mark,
    milliseconds,
    path,
    tag,
    text,
)

SHARES = (0.0, 0.1, 0.25, 0.5, 0.6, 0.75, 0.8, 0.9, 0.95, 0.975, 0.99, 0.995, 0.999, 0.9995, 0.9999)
TICKS = {0.0: "0", 0.5: "50", 0.9: "90", 0.99: "99", 0.999: "99.9", 0.9999: "99.99 %"}
LEFT, RIGHT, TOP, HEIGHT = 52.0, 56.0, 22.0, 230.0


def figure(name: str, title: str, series: Sequence[tuple[str, Look, Measured]]) -> Figure:
    """Draw the distributions of `series` (name, style, figures), at most six of them."""
    curves = [(label, look, _curve(measured)) for label, look, measured in series if measured.asked]
    about = (
        "The share of checkouts, with ever fewer of the slowest to the right, against their longest latency. "
        + " ".join(
            f"{label}: half within {dict(curve)[0.5]:.1f} ms." for label, _, curve in curves if 0.5 in dict(curve)
        )
    )
    drawn = {width: _drawn(width, title, about, curves) for width in (WIDE, NARROW)}
    return Figure(
        name=name,
        title=title,
        about=about,
        wide=drawn[WIDE],
        narrow=drawn[NARROW],
        headers=("share", *(label for label, _, _ in curves)),
        rows=[(f"{share * 100:g} %", *(_cell(dict(curve).get(share)) for _, _, curve in curves)) for share in SHARES],
        legend=[(f"k-{look.kind}", label) for label, look, _ in curves],
    )


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} ms"


def _curve(measured: Measured) -> list[tuple[float, float]]:
    """Return (share, ms), up to the largest share that the number of checkouts can resolve."""
    histogram = Histogram.of(measured.histogram_us)
    shares = (share for share in SHARES if share < 1 - 1 / (histogram.total + 1))
    return [(share, (histogram.quantile(share) or 0) / 1000) for share in shares]


def _drawn(width: int, title: str, about: str, curves: Sequence[tuple[str, Look, list[tuple[float, float]]]]) -> Markup:
    values = [ms for _, _, curve in curves for _, ms in curve]
    low, high = max(min(values, default=1) * 0.8, 0.05), max(values, default=10) * 1.25
    right = width - (RIGHT if width > NARROW else 20)
    furthest = max((curve[-1][0] for _, _, curve in curves if curve), default=0.99)
    x, y = _share_scale(LEFT, right, furthest), logarithmic(low, high, TOP + HEIGHT, TOP)
    parts = [
        tag("line", class_="grid", x1=LEFT, x2=right, y1=y(at), y2=y(at))
        + text(milliseconds(at), LEFT - 6, y(at) + 4, class_="tick end")
        for at in decades(low, high)
    ]
    for share, words in TICKS.items():
        if share <= furthest:
            parts.append(tag("line", class_="grid", x1=x(share), x2=x(share), y1=TOP, y2=TOP + HEIGHT))
            parts.append(text(words, x(share), TOP + HEIGHT + 16, class_="tick mid"))
    hits = []
    for name, look, curve in curves:
        parts.append(path(((x(share), y(ms)) for share, ms in curve), class_=f"line {look.kind}"))
        parts += [mark(look, x(share), y(ms)) for share, ms in curve if share in TICKS and share]
        hits += [
            hit(f"{name}: {share * 100:g} % within {ms:.2f} ms", x(share) - 7, y(ms) - 9, 14, 18) for share, ms in curve
        ]
    return drawing(width, TOP + HEIGHT + 26, title, about, *parts, tag("g", *hits, class_="hits"), kind="distribution")


def _share_scale(start: float, end: float, furthest: float) -> Scale:
    """Return the scale of shares, on which every further nine has the same width."""
    inner = linear(0, -math.log10(1 - furthest), start, end)
    return lambda share: inner(-math.log10(1 - min(share, furthest)))
