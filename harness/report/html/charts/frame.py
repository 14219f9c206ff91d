"""The common part of the panels over time: the axis, and the active faults."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.metrics.measure import Measured
from harness.report.html.svg import Scale, linear, tag, text, ticks

LEFT, RIGHT = 52.0, 10.0


@dataclass(frozen=True, slots=True)
class Frame:
    """The time of one run from left to right, in a drawing of this width."""

    measured: Measured
    width: int

    @property
    def x(self) -> Scale:
        return linear(0, self.measured.load_s, LEFT, self.width - RIGHT)

    def clip(self, at_s: float) -> float:
        return self.x(min(max(at_s, 0.0), self.measured.load_s))

    def axis(self, y: float) -> str:
        """Draw the axis below a panel, in seconds into the run."""
        begin = self.measured.load_at_s
        every = ticks(self.measured.load_s, 10 if self.width > 600 else 5)
        step = every[1] if len(every) > 1 else 1.0
        first = math.ceil(begin / step) * step
        times = (first + step * number for number in range(len(every) + 1))
        shown = [at for at in times if begin <= at <= begin + self.measured.load_s * 0.96]
        marks = (text(f"{at:g}", self.x(at - begin), y + 16, class_="tick mid") for at in shown)
        unit = text("s", self.width - RIGHT, y + 16, class_="tick end unit")
        return tag("line", x1=LEFT, x2=self.width - RIGHT, y1=y, y2=y, class_="base") + "".join(marks) + unit

    def faults(self, top: float, bottom: float) -> str:
        """Draw a shade over the duration of each fault, with its number above."""
        drawn = []
        for number, fault in enumerate(self.measured.faults, start=1):
            begin, end = self._span(fault)
            if fault["at_s"] <= self.measured.load_s:
                drawn.append(
                    tag("rect", class_="fault", x=begin, y=top, width=max(end - begin, 2.0), height=bottom - top)
                )
                drawn.append(tag("line", class_="fault-edge", x1=begin, x2=begin, y1=top - 4, y2=bottom))
                drawn.append(text(number, begin + 1, top - 7, class_="fault-number"))
        return "".join(drawn)

    def blocked(self, y: float) -> str:
        """Draw a bar from the start of each fault to the first success of a checkout that began after it."""
        drawn = []
        for fault in self.measured.faults:
            wait_s = fault["from_start_s"].get("checkout")
            begin = self.clip(fault["at_s"])
            end = self.clip(fault["at_s"] + wait_s) if wait_s is not None else self.clip(self.measured.load_s)
            if fault["at_s"] <= self.measured.load_s:
                drawn.append(tag("line", class_="blocked", x1=begin, x2=max(end, begin + 2), y1=y, y2=y))
        return "".join(drawn)

    def _span(self, fault: dict[str, float | None]) -> tuple[float, float]:
        at_s, lasted_s = fault["at_s"] or 0.0, fault["lasted_s"]
        until = self.measured.load_s if lasted_s is None else at_s + lasted_s
        return self.clip(at_s), self.clip(until)


def active(measured: Measured, begin_s: float, end_s: float) -> str:
    """Name the faults that were active at some time in this interval."""
    on = [
        f"{fault['fault']} {target(fault)}".strip()
        for fault in measured.faults
        if fault["at_s"] < end_s and (fault["lasted_s"] is None or fault["at_s"] + fault["lasted_s"] > begin_s)
    ]
    return ", ".join(dict.fromkeys(on))


def target(fault: dict[str, object]) -> str:
    named = fault.get("target")
    return (
        ", ".join(map(str, named)) if isinstance(named, Sequence) and not isinstance(named, str) else str(named or "")
    )
