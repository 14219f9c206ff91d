"""Faults inside a service process: a crash between two effects, a wrong clock, messages doubled and overtaken.

The harness asks for them, at the start (``WDM_FAULTS``) or later (``POST /internal/faults``), each time with all that there
shall be from now on. Where nothing is asked for, the driver has no failpoint to call and the link is the bare one.
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
    """All that is wrong with one process. ``Faults()`` is nothing.

    ``crash_at``: failpoints, and at which passing of each the process dies. ``skew_ms`` is added to the clock. A message is
    sent a second time with probability ``duplicate``, held back with probability ``reorder``; the copy, or what is held
    back, leaves within ``hold_ms``. ``seed`` decides which.
    """

    crash_at: dict[str, Annotated[int, msgspec.Meta(ge=1)]] = {}
    skew_ms: Annotated[int, msgspec.Meta(ge=-DAY_MS, le=DAY_MS)] = 0
    duplicate: Probability = 0.0
    reorder: Probability = 0.0
    hold_ms: Annotated[float, msgspec.Meta(ge=0, le=60_000)] = HOLD_MS
    seed: int = 0

    def __or__(self, other: "Faults") -> "Faults":
        """Both at once: offsets add up, of two probabilities the larger counts."""
        return Faults(
            crash_at=self.crash_at | other.crash_at,
            skew_ms=self.skew_ms + other.skew_ms,
            duplicate=max(self.duplicate, other.duplicate),
            reorder=max(self.reorder, other.reorder),
            hold_ms=max((one.hold_ms for one in (self, other) if one.disturbs), default=HOLD_MS),
            seed=self.seed ^ other.seed,
        )

    @property
    def disturbs(self) -> bool:
        """Whether it touches messages."""
        return bool(self.duplicate or self.reorder)


def power_off() -> None:
    """End this process the way a power switch would: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)


class Crashes:
    """A driver's failpoint hook: ``die`` there."""

    def __init__(self, at: dict[str, int], die: Callable[[], None]) -> None:
        self._left = dict(at)
        self._die = die

    def but(self, at: dict[str, int]) -> "Crashes":
        """The same with other failpoints; those that stay are not counted anew."""
        return Crashes({name: self._left.get(name, passing) for name, passing in at.items()}, self._die)

    def __call__(self, name: str) -> None:
        left = self._left.get(name)
        if left is not None:
            self._left[name] = left - 1
            if left <= 1:
                self._die()


class DisturbedLink:
    """A ``Link`` that doubles messages and lets them overtake each other on their way into the real one."""

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
    """What is wrong with this process at the moment."""

    def __init__(self, driver: Driver, link: Link, clock: SkewedClock, die: Callable[[], None] = power_off) -> None:
        self._driver = driver
        self._link = link
        self._clock = clock
        self._crashes = Crashes({}, die)
        self.faults = Faults()

    def become(self, faults: Faults) -> None:
        """From now on this and nothing else."""
        self.faults = faults
        self._crashes = self._crashes.but(faults.crash_at)
        self._driver.failpoint = self._crashes if faults.crash_at else None
        self._driver.link = DisturbedLink(self._link, self._clock, faults) if faults.disturbs else self._link
        self._clock.offset_us = faults.skew_ms * 1000


def written(faults: Faults) -> bytes:
    return msgspec.json.encode(faults)


def read(body: bytes) -> Faults:
    """Raises ``ValueError`` saying what is wrong with the JSON."""
    try:
        return msgspec.json.decode(body, type=Faults)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a description of faults: {error}") from None
