"""Faults inside a service process: a crash between two effects, a wrong clock, messages doubled and overtaken.

The harness sets them at the start (`WDM_FAULTS`) or later (`POST /internal/faults`), each time all that apply from then on.
Without any, the driver has no failpoint to call and the link is the bare one.
"""

import os
import signal
from collections.abc import Callable
from random import Random
from typing import Annotated, Any

import msgspec

from protocols.ports import Clock, Link, SkewedClock
from protocols.service.driver import Driver

Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
DAY_MS = 86_400_000
HOLD_MS = 50.0
PATH = "/internal/faults"


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """All faults of one process; `Faults()` is none.

    `crash_at` maps failpoints to the passing at which the process dies: 1 for the first. `skew_ms` is added to the clock. A
    message is sent a second time with probability `duplicate` and held back with probability `reorder`; the copy, or the held
    message, leaves within `hold_ms`. `seed` makes the choices.
    """

    crash_at: dict[str, Annotated[int, msgspec.Meta(ge=1)]] = {}
    skew_ms: Annotated[int, msgspec.Meta(ge=-DAY_MS, le=DAY_MS)] = 0
    duplicate: Probability = 0.0
    reorder: Probability = 0.0
    hold_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = HOLD_MS
    seed: int = 0

    def __or__(self, other: "Faults") -> "Faults":
        """Return both at once: offsets add up, the larger of two probabilities counts."""
        return Faults(
            crash_at=self.crash_at | other.crash_at,
            skew_ms=self.skew_ms + other.skew_ms,
            duplicate=max(self.duplicate, other.duplicate),
            reorder=max(self.reorder, other.reorder),
            hold_ms=max((faults.hold_ms for faults in (self, other) if faults.disturbs), default=HOLD_MS),
            seed=self.seed ^ other.seed,
        )

    @property
    def disturbs(self) -> bool:
        """Return whether the faults affect messages."""
        return bool(self.duplicate or self.reorder)


def power_off() -> None:
    """End this process as a power switch would: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


class CrashPoints:
    """A `Failpoint` that calls `die` at the given passings of failpoints."""

    def __init__(self, at: dict[str, int], die: Callable[[], None]) -> None:
        self._left = dict(at)
        self._die = die

    def replace(self, at: dict[str, int]) -> "CrashPoints":
        """Return the hook for other failpoints; those that stay keep their counts."""
        return CrashPoints({name: self._left.get(name, passing) for name, passing in at.items()}, self._die)

    def __call__(self, name: str) -> None:
        left = self._left.get(name)
        if left is not None:
            self._left[name] = left - 1
            if left <= 1:
                self._die()


class DisturbedLink:
    """A `Link` that doubles messages, and lets them overtake each other on their way into the real one."""

    def __init__(self, link: Link, clock: Clock, faults: Faults) -> None:
        self._link = link
        self._clock = clock
        self._faults = faults
        self._rng = Random(faults.seed)

    def send(self, to: str, message: Any) -> None:
        faults, rng = self._faults, self._rng
        if rng.random() < faults.duplicate:
            self._later(to, message)
        if rng.random() < faults.reorder:
            self._later(to, message)
        else:
            self._link.send(to, message)

    def _later(self, to: str, message: Any) -> None:
        self._clock.call_later(self._rng.random() * self._faults.hold_ms, lambda: self._link.send(to, message))


class FaultInjector:
    """Applies faults to the driver, the link and the clock of this process. `faults` are the current ones."""

    def __init__(self, driver: Driver, link: Link, clock: SkewedClock, die: Callable[[], None] = power_off) -> None:
        self._driver = driver
        self._link = link
        self._clock = clock
        self._crashes = CrashPoints({}, die)
        self.faults = Faults()

    def apply(self, faults: Faults) -> None:
        """Replace the current faults."""
        self.faults = faults
        self._crashes = self._crashes.replace(faults.crash_at)
        self._driver.failpoint = self._crashes if faults.crash_at else None
        self._driver.link = DisturbedLink(self._link, self._clock, faults) if faults.disturbs else self._link
        self._clock.offset_us = faults.skew_ms * 1000


def to_json(faults: Faults) -> bytes:
    """Return the faults as JSON."""
    return msgspec.json.encode(faults)


def from_json(body: bytes) -> Faults:
    """Parse faults. Raises `ValueError` that names the wrong part of the JSON."""
    try:
        return msgspec.json.decode(body, type=Faults)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a description of faults: {error}") from None
