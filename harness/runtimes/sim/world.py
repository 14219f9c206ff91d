"""What all nodes of one simulation share: time, chance, and the trace of everything that happened."""

import hashlib
from collections.abc import Callable
from random import Random

from harness.runtimes.sim.loop import VirtualLoop

EPOCH_US = 1_600_000_000_000_000
"""When a simulation begins, by its nodes' clocks: any time will do, as long as it is always the same."""


class Trace:
    """What happened, one line each: the time in microseconds, the node, and what. Lines name things, never objects."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._lines: list[tuple[float, str, str]] = []

    def add(self, node: str, what: str) -> None:
        self._lines.append((self._loop.time(), node, what))

    def lines(self) -> list[tuple[float, str, str]]:
        """(seconds, node, what) each."""
        return self._lines

    def text(self) -> str:
        return "".join(f"{at_s * 1e6:.0f} {node} {what}\n" for at_s, node, what in self._lines)

    def digest(self) -> str:
        """Equal for two runs that took the same course (BLAKE2b, 16 bytes)."""
        return hashlib.blake2b(self.text().encode(), digest_size=16).hexdigest()


class World:
    """`steps`: what services did for each transaction, where the deployment says so; no part of a run's course.

    `salt` gives another course of chance to the same seed: the simulator's own draws, never the workload's."""

    def __init__(self, seed: int, loop: VirtualLoop, salt: int = 0) -> None:
        self.loop = loop
        self.trace = Trace(loop)
        self.steps = Trace(loop)
        self._seed = f"{seed}:sim" if not salt else f"{seed}:sim:{salt}"

    def stream(self, name: str) -> Random:
        """The random numbers of one purpose: a draw more here reshuffles nothing elsewhere."""
        return Random(f"{self._seed}:{name}")

    def later(self, after_s: float, call: Callable[[], None]) -> None:
        self.loop.call_later(after_s, call)

    def now_us(self) -> int:
        return EPOCH_US + round(self.loop.time() * 1e6)
