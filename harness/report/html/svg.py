"""The parts of charts: tags with escaped text, scales, ticks. Lengths are pixels of the drawing."""

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

from markupsafe import Markup

WIDE, NARROW = 980, 350
"""The two widths of a chart, for a wide and for a narrow screen, so that its text has the same size on both."""

Scale = Callable[[float], float]


def tag(name: str, *inside: str, **attributes: Any) -> str:
    """Return a tag, as `tag("rect", x=1, class_="hit")`: without attributes of None, and with rounded numbers."""
    given = "".join(f' {_name(key)}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    return f"<{name}{given}>{''.join(inside)}</{name}>" if inside else f"<{name}{given}/>"


def text(words: object, x: float, y: float, **attributes: Any) -> str:
    return tag("text", escape(str(words)), x=x, y=y, **attributes)


def hit(say: str, x: float, y: float, width: float, height: float) -> str:
    """Return the area whose readout is `say`, for a pointer or for the arrow keys."""
    return tag(
        "rect", tag("title", escape(say)), class_="hit", x=x, y=y, width=max(width, 1.0), height=height, data_say=say
    )


def path(points: Iterable[tuple[float, float]], **attributes: Any) -> str:
    """Return a line through all points."""
    steps = "".join(f"{'M' if not at else 'L'}{_round(x)} {_round(y)}" for at, (x, y) in enumerate(points))
    return tag("path", d=steps, **attributes) if steps else ""


class Look(NamedTuple):
    """The colour, dash and mark of a series, one of six; a `pale` one is the same series under other conditions."""

    number: int = 0
    pale: bool = False

    @property
    def kind(self) -> str:
        return f"s{self.number % 6 + 1}{' pale' if self.pale else ''}"


def mark(look: Look, x: float, y: float, size: float = 3.6) -> str:
    """Return the mark of a series, which distinguishes it without colour."""
    series, kind = look.number, f"mark {look.kind}"
    corners = {
        1: ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        2: ((0, -1.3), (1.2, 1), (-1.2, 1)),
        3: ((0, -1.4), (1.4, 0), (0, 1.4), (-1.4, 0)),
    }
    shape = series % 6
    if shape in corners:
        return tag(
            "polygon",
            class_=kind,
            points=" ".join(f"{x + size * dx:.1f},{y + size * dy:.1f}" for dx, dy in corners[shape]),
        )
    if shape == 0:
        return tag("circle", class_=kind, cx=x, cy=y, r=size)
    slope = ((-1, -1, 1, 1), (-1, 1, 1, -1)) if shape == 4 else ((0, -1.3, 0, 1.3), (-1.3, 0, 1.3, 0))
    return "".join(
        tag("line", class_=f"{kind} stroke", x1=x + size * a, y1=y + size * b, x2=x + size * c, y2=y + size * d)
        for a, b, c, d in slope
    )


def linear(low: float, high: float, start: float, end: float) -> Scale:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    bottom, top = math.log10(low), math.log10(max(high, low * 1.01))
    return lambda value: start + (math.log10(max(value, low)) - bottom) / (top - bottom) * (end - start)


def ticks(high: float, most: int) -> list[float]:
    """Return round numbers from 0 to about `high`."""
    if high <= 0:
        return [0.0]
    step = _nice(high / most)
    return [number * step for number in range(math.floor(high / step + 1e-9) + 1)]


def decades(low: float, high: float) -> list[float]:
    """Return the powers of ten within the bounds; with few of them, their multiples by 2 and 5 as well."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    within = [10.0**e for e in exponents if low <= 10.0**e <= high]
    if len(within) >= 2:
        return within
    return [factor * 10.0**e for e in exponents for factor in (1, 2, 5) if low <= factor * 10.0**e <= high]


def milliseconds(value: float) -> str:
    """Return a latency as the text of a tick: `50 ms`, `2 s`."""
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart in both widths, its description in a sentence, and the table behind it. `legend` is (class, words)."""

    name: str
    title: str
    about: str
    wide: Markup
    narrow: Markup
    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    legend: Sequence[tuple[str, str]] = ()


def drawing(width: int, height: float, title: str, about: str, *inside: str, kind: str = "") -> Markup:
    """Return a whole drawing, with a title and a description, which the keyboard reaches."""
    digest = hashlib.blake2s(f"{width} {title} {about}".encode(), digest_size=5)  # the same page each time
    unique = f"d{digest.hexdigest()}"
    return Markup(  # noqa: S704  everything inside went through `tag` or `text`
        tag(
            "svg",
            tag("title", escape(title), id=f"{unique}t"),
            tag("desc", escape(about), id=f"{unique}d"),
            *inside,
            class_=f"chart {kind}".strip(),
            viewBox=f"0 0 {width} {_round(height)}",
            width=width,
            height=height,
            role="img",
            tabindex=0,
            aria_labelledby=f"{unique}t {unique}d",
            xmlns="http://www.w3.org/2000/svg",
        )
    )


def _nice(raw: float) -> float:
    size = 10.0 ** math.floor(math.log10(raw))
    return next(factor * size for factor in (1, 2, 5, 10) if factor * size >= raw * 0.999)


def _name(key: str) -> str:
    return {"class_": "class", "viewBox": "viewBox"}.get(key, key.replace("_", "-"))


def _value(value: Any) -> str:
    return _round(value) if isinstance(value, float) else escape(str(value))


def _round(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
