"""The world of one simulation: the time, chance and trace that all its nodes share."""

import hashlib
from collections.abc import Callable
from random import Random

from harness.runtimes.sim.loop import VirtualLoop

EPOCH_US = 1_600_000_000_000_000
"""The start of a simulation by its nodes' clocks. Any time would do, as long as it is always the same."""


class Trace:
    """The events of a simulation, one line each: time in microseconds, node, event. Lines have names, never a `repr`."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._lines: list[tuple[float, str, str]] = []

    def add(self, node: str, event: str) -> None:
        """Add an event of a node, now."""
        self._lines.append((self._loop.time(), node, event))

    def lines(self) -> list[tuple[float, str, str]]:
        """Return (seconds, node, event) of each line."""
        return self._lines

    def text(self) -> str:
        """Return all lines, each with its end."""
        return "".join(f"{at_s * 1e6:.0f} {node} {event}\n" for at_s, node, event in self._lines)

    def digest(self) -> str:
        """Return a digest that is equal for two runs of the same course (BLAKE2b, 16 bytes)."""
        return hashlib.blake2b(self.text().encode(), digest_size=16).hexdigest()


class World:
    """The world of one simulation. `steps`: the steps of transactions that are traced; no part of a run's course.

    `salt` gives another course of chance to the same seed: the simulator's own draws, never the workload's.
    """

    def __init__(self, seed: int, loop: VirtualLoop, salt: int = 0) -> None:
        self.loop = loop
        self.trace = Trace(loop)
        self.steps = Trace(loop)
        self._seed = f"{seed}:sim" if not salt else f"{seed}:sim:{salt}"

    def stream(self, name: str) -> Random:
        """Return the random numbers of one purpose: one more draw here changes no draw elsewhere."""
        return Random(f"{self._seed}:{name}")

    def later(self, after_s: float, call: Callable[[], None]) -> None:
        """Call a function after so many virtual seconds."""
        self.loop.call_later(after_s, call)

    def now_us(self) -> int:
        """Return the time in microseconds since 1970."""
        return EPOCH_US + round(self.loop.time() * 1e6)
