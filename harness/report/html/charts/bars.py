"""One figure of several cases as bars from zero, with the number at the end of each."""

from collections.abc import Sequence

from markupsafe import Markup

from harness.report.html.svg import NARROW, WIDE, Figure, Look, drawing, hit, linear, tag, text

ROW = 26.0

Case = tuple[str, Look, float | None]


def figure(name: str, title: str, unit: str, cases: Sequence[Case], digits: int = 1) -> Figure:
    """Draw the bars. A case without a figure has a text in place of its bar."""
    about = f"{title}. " + " ".join(
        f"{label}: {'not measured' if value is None else f'{value:.{digits}f} {unit}'}." for label, _, value in cases
    )
    drawn = {width: _drawn(width, title, about, unit, cases, digits) for width in (WIDE // 2 - 20, NARROW)}
    wide, narrow = drawn.values()
    return Figure(
        name=name,
        title=title,
        about=about,
        wide=wide,
        narrow=narrow,
        headers=("case", f"{title} ({unit})" if unit else title),
        rows=[(label, "-" if value is None else f"{value:.{digits}f}") for label, _, value in cases],
    )


def _drawn(width: int, title: str, about: str, unit: str, cases: Sequence[Case], digits: int) -> Markup:
    wide = width > NARROW
    left, row = (218.0, ROW) if wide else (0.0, ROW + 16)
    highest = max((value for _, _, value in cases if value is not None), default=1.0) or 1.0
    x = linear(0, highest, left, width - 56.0)
    parts, hits = [], []
    for number, (name, look, value) in enumerate(cases):
        top = 4 + row * number + (0 if wide else 16)
        parts.append(
            text(name, left - 10, top + 14, class_="name end") if wide else text(name, 0, top - 4, class_="name")
        )
        figure_text = "not measured" if value is None else f"{value:.{digits}f}"
        if value is not None:
            parts.append(
                tag(
                    "rect",
                    class_=f"bar {look.kind}",
                    x=left,
                    y=top + 2,
                    width=max(x(value) - left, 1),
                    height=ROW - 10,
                )
            )
        end = left if value is None else x(value)
        parts.append(text(figure_text, end + 6, top + 14, class_="figure" if value is not None else "tick"))
        hits.append(
            hit(f"{name}: {figure_text}{f' {unit}' if unit and value is not None else ''}", 0, top - 2, width, row)
        )
    if wide:
        parts.append(tag("line", class_="base", x1=left, x2=left, y1=0, y2=4 + row * len(cases)))
    return drawing(width, 8 + row * len(cases), title, about, *parts, tag("g", *hits, class_="hits"), kind="bars")
