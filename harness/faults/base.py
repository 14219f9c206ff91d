"""The base of faults: a fault is data, and a fault kind begins and ends it in a runtime."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal, Protocol

from harness.runtimes.base import Breakable, Capability
from protocols.errors import UsageError

Aim = Literal["nodes", "services", "drained", "stores", "links"]
"""The kind of the targets of a fault. `drained`: nodes that answer their requests before they end."""
Value = float | str

LONGEST_S = 3_600.0
"""The latest time and the longest duration in a schedule of faults."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a schedule, from `at_s` seconds after the start of the load for `for_s` seconds.

    `targets` are names of `harness.faults.targets`; `any` stands for a choice at the start of the fault. `settings` are
    complete, with the default of each setting that was not given.
    """

    kind: str
    targets: tuple[str, ...]
    at_s: float = 0.0
    for_s: float = 0.0
    settings: Mapping[str, Value] = field(default_factory=dict, hash=False)

    def number(self, name: str) -> float:
        """Return the value of a setting that is a number."""
        value = self.settings[name]
        assert not isinstance(value, str)
        return value

    def text(self, name: str) -> str:
        """Return the value of a setting that is a text."""
        return str(self.settings[name])


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of a fault kind: a text with its `choices` (empty: any text), or a number from `low` to `high`.

    The type of the default decides: `str`, `int` for a whole number, `float` for any number.
    """

    name: str
    default: Value
    summary: str
    low: float = 0.0
    high: float = 1e12
    choices: tuple[str, ...] = ()

    def check(self, kind: str, value: object) -> Value:
        """Return the value if it fits. Raises `UsageError` naming kind, setting, value and the allowed values."""
        if isinstance(self.default, str):
            if not isinstance(value, str) or (self.choices and value not in self.choices):
                wanted = f"one of: {', '.join(self.choices)}" if self.choices else "a text"
                raise UsageError(f"{kind}: {self.name}={value!r} is not {wanted}")
            return value
        types, what = ((int,), "whole number") if isinstance(self.default, int) else ((int, float), "number")
        if isinstance(value, bool) or not isinstance(value, types) or not self.low <= value <= self.high:
            bounds = f"of at least {self.low:g} and at most {self.high:g}"
            raise UsageError(f"{kind}: {self.name}={value!r} is not a {what} {bounds}")
        return value


class FaultKind(Protocol):
    """One entry of the vocabulary. It has no state: the runtime keeps the faults that have begun.

    `needs` are the capabilities of a runtime without which it cannot be injected, `aim` is the kind of its targets, and
    `default` are the targets of a fault without any.
    """

    name: str
    summary: str
    aim: Aim
    needs: frozenset[Capability]
    default: tuple[str, ...]
    settings: tuple[Setting, ...]

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        """Return why, apart from needs and targets, this fault cannot be injected here; None if it can."""

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        """Begin the fault. Return a report in words, empty for most kinds."""

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        """Undo `start`, and no other fault; idempotent. A target that has died meanwhile is no error."""
