"""The rules on one link, taken together."""

from collections.abc import Hashable
from dataclasses import dataclass
from random import Random
from typing import Literal

from harness.runtimes.base import Rule

Way = Literal["there", "back"]


@dataclass(slots=True)
class Shape:
    rule: Rule
    rng: Random


class Shapes(dict[Hashable, Shape]):
    """Rules by who put them there. Empty, nothing is in the way of anything."""

    def __init__(self) -> None:
        super().__init__()
        self._free_at: dict[Way, float] = {"there": 0.0, "back": 0.0}

    @property
    def cut(self) -> bool:
        return any(apply_rule.rule.cut for apply_rule in self.values())

    @property
    def bytes_per_s(self) -> float:
        """0 for no limit."""
        return min(
            (apply_rule.rule.bytes_per_s for apply_rule in self.values() if apply_rule.rule.bytes_per_s), default=0.0
        )

    def breaks(self) -> bool:
        """Drawn for each piece of data: whether it breaks its connection."""
        return any(
            apply_rule.rng.random() < apply_rule.rule.reset for apply_rule in self.values() if apply_rule.rule.reset
        )

    def delay_s(self) -> float:
        """Drawn for each piece of data."""
        ms = 0.0
        for apply_rule in self.values():
            if apply_rule.rule.delay_ms or apply_rule.rule.jitter_ms:
                ms += apply_rule.rule.delay_ms + apply_rule.rule.jitter_ms * apply_rule.rng.random()
        return ms / 1000

    def through_at(self, way: Way, size: int, now_s: float) -> float:
        """When so many more bytes have gone through, behind all that is on its way already."""
        rate = self.bytes_per_s
        if not rate:
            return now_s
        self._free_at[way] = max(self._free_at[way], now_s) + size / rate
        return self._free_at[way]

    def forget(self) -> None:
        """What was on its way no longer is."""
        self._free_at = {"there": 0.0, "back": 0.0}
