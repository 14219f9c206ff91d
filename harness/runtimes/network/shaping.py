"""The rules on one link, taken together."""

from collections.abc import Hashable
from dataclasses import dataclass
from random import Random
from typing import Literal

from harness.runtimes.base import Rule

Direction = Literal["forward", "backward"]


@dataclass(slots=True)
class Shape:
    """A rule with its own random numbers."""

    rule: Rule
    rng: Random


class Shapes(dict[Hashable, Shape]):
    """The rules on one link, by owner. Without a rule every piece of data passes at once."""

    def __init__(self) -> None:
        super().__init__()
        self._free_at: dict[Direction, float] = {"forward": 0.0, "backward": 0.0}

    @property
    def cut(self) -> bool:
        """Return whether one of the rules is a cut."""
        return bool(self) and any(shape.rule.cut for shape in self.values())

    @property
    def bytes_per_s(self) -> float:
        """Return the smallest limit in bytes per second; 0 without a limit."""
        return min((shape.rule.bytes_per_s for shape in self.values() if shape.rule.bytes_per_s), default=0.0)

    def breaks(self) -> bool:
        """Draw for one piece of data whether it resets its connection."""
        return any(shape.rng.random() < shape.rule.reset for shape in self.values() if shape.rule.reset)

    def delay_s(self) -> float:
        """Draw the delay of one piece of data: the sum over all rules, in seconds."""
        ms = 0.0
        for shape in self.values():
            if shape.rule.delay_ms or shape.rule.jitter_ms:
                ms += shape.rule.delay_ms + shape.rule.jitter_ms * shape.rng.random()
        return ms / 1000

    def through_at(self, direction: Direction, size: int, now_s: float) -> float:
        """Take a piece of `size` bytes at `now_s`; return the time in seconds when it is through.

        The limit holds for all connections of a link together: a piece is through after those that were taken before it.
        """
        rate = self.bytes_per_s
        if not rate:
            return now_s
        self._free_at[direction] = max(self._free_at[direction], now_s) + size / rate
        return self._free_at[direction]

    def forget(self) -> None:
        """Forget the pieces that were taken: a later rule's limit begins with a free link."""
        self._free_at = {"forward": 0.0, "backward": 0.0}
