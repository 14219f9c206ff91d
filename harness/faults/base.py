"""What a fault is: data. What a kind of fault is: how a runtime is told to begin it and to end it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal, Protocol

from harness.runtimes.base import Breakable, Capability
from protocols.errors import UsageError

Aim = Literal["nodes", "services", "stores", "links"]
Value = float | str

LONGEST_S = 3_600.0
"""No time in a schedule of faults is later or longer."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: from ``at_s`` after the start of the schedule, for ``for_s`` seconds.

    ``targets`` are names as ``targets.py`` explains them; ``any`` stands for a choice that is made when the fault starts.
    ``settings`` are complete: what was not given has its default.
    """

    kind: str
    targets: tuple[str, ...]
    at_s: float = 0.0
    for_s: float = 0.0
    settings: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def number(self, name: str) -> float:
        value = self.settings[name]
        assert not isinstance(value, str)
        return value

    def text(self, name: str) -> str:
        return str(self.settings[name])


@dataclass(frozen=True, slots=True)
class Setting:
    """``choices`` for a text (empty: any), ``low`` and ``high`` for a number; the default's type says which, and if whole."""

    name: str
    default: Value
    summary: str
    low: float = 0.0
    high: float = 1e12
    choices: tuple[str, ...] = ()

    def check(self, kind: str, value: object) -> Value:
        """The value, as the default's type. Raises ``UsageError`` naming kind, setting, value and what it may be."""
        if isinstance(self.default, str):
            if not isinstance(value, str) or (self.choices and value not in self.choices):
                wanted = f"one of: {', '.join(self.choices)}" if self.choices else "a text"
                raise UsageError(f"{kind}: {self.name}={value!r} is not {wanted}")
            return value
        numbers, what = ((int,), "whole number") if isinstance(self.default, int) else ((int, float), "number")
        if isinstance(value, bool) or not isinstance(value, numbers) or not self.low <= value <= self.high:
            bounds = f"of at least {self.low:g} and at most {self.high:g}"
            raise UsageError(f"{kind}: {self.name}={value!r} is not a {what} {bounds}")
        return value


class FaultKind(Protocol):
    """One entry of the vocabulary. It keeps nothing: what it did to a runtime, the runtime knows.

    ``needs``: without these capabilities of a runtime it cannot be injected. ``aim``: what its targets are, ``default``
    the targets if none are given.
    """

    name: str
    summary: str
    aim: Aim
    needs: frozenset[Capability]
    default: tuple[str, ...]
    settings: tuple[Setting, ...]

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        """Why, beyond its needs and targets, this fault cannot be injected here; None if it can."""

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        """Begin. Returns in words what there is to say about it, mostly nothing."""

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        """Heal what ``start`` did, and nothing else. A second time changes nothing; what has died meanwhile is no error."""
