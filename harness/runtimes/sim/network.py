"""The simulated network: every directed link between two nodes, what is on its way, and the rules that faults put there.

Without any fault it is still a network: nearly everything arrives within a millisecond, a little takes so long that somebody's
patience ends, and now and then something is lost. Uniform delays would hardly ever let a time-out fire at a bad moment.
"""

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from random import Random

from harness.faults.shapes import Shape, Shapes
from harness.runtimes.base import Rule, Wire
from harness.runtimes.sim.world import World

QUICKEST_S = 0.0002
USUAL_S = 0.001
SLOW = 0.01  # the share of what is slow
SLOW_MEAN_S = 0.25
SLOWEST_S = 4.0
LOST = 0.002
MESSAGE_BYTES = 200


@dataclass(slots=True)
class _Line:
    """One directed link. Packets in ``held`` and pieces of connections in ``stalled`` wait for the end of a cut."""

    shapes: Shapes = field(default_factory=Shapes)
    held: list[Callable[[], None]] = field(default_factory=list)
    stalled: list[Callable[[], None]] = field(default_factory=list)
    connections: list[Callable[[], None]] = field(default_factory=list)  # whom to tell of a reset


class Network:
    """Packets are calls: what to do when one arrives. While it is ``rough``, some are slow and some are lost by themselves."""

    def __init__(self, world: World, wires: Iterable[Wire]) -> None:
        self._world = world
        self._lines = {wire: _Line() for wire in wires}
        self._rng = world.stream("network")
        self.rough = True

    @property
    def wires(self) -> tuple[Wire, ...]:
        return tuple(self._lines)

    def latency_s(self) -> float:
        """Drawn for each packet."""
        draw = self._rng.random()
        if draw < SLOW and self.rough:
            return min(self._rng.expovariate(1 / SLOW_MEAN_S), SLOWEST_S)
        return QUICKEST_S + USUAL_S * draw

    def carry(self, wire: Wire, arrive: Callable[[], None], lost: Callable[[], None] = lambda: None) -> None:
        """A packet that may be lost, late, and overtaken by others. ``lost``: for a sender that sees its connection reset."""
        line = self._lines[wire]
        delay_s = self.latency_s()
        if (self.rough and self._rng.random() < LOST) or (line.shapes and line.shapes.breaks()):
            self._world.later(delay_s, lost)
            return
        self._world.later(self._shaped_s(line, delay_s), lambda: self._arrive(line, arrive))

    def through_s(self, wire: Wire) -> float | None:
        """How long the next piece of a connection takes; None if it breaks the connection instead."""
        line = self._lines[wire]
        if line.shapes and line.shapes.breaks():
            return None
        return self._shaped_s(line, self.latency_s())

    def when_whole(self, wire: Wire, then: Callable[[], None]) -> None:
        """``then``, now or when the cut has ended, in the order in which it was asked for."""
        line = self._lines[wire]
        if line.shapes.cut:
            line.stalled.append(then)
        else:
            then()

    def connections(self, wire: Wire) -> list[Callable[[], None]]:
        """Who has a connection on this link, and is told when it is reset."""
        return self._lines[wire].connections

    # ------------------------------------------------------------ rules

    def shape(self, by: Hashable, wires: Iterable[Wire], rule: Rule, rng: Random) -> None:
        for wire in wires:
            self._lines[wire].shapes[by] = Shape(rule, rng)

    def unshape(self, by: Hashable, *, reset: bool = False) -> None:
        for line in self._lines.values():
            if line.shapes.pop(by, None) is not None:
                if reset:
                    line.held.clear()
                self._reshaped(line)
                for broken in tuple(line.connections) if reset else ():
                    broken()  # before what was stalled goes on: it belongs to nobody then

    def straighten(self) -> None:
        for line in self._lines.values():
            if line.shapes:
                line.shapes.clear()
                self._reshaped(line)

    # ------------------------------------------------------------ inside

    def _shaped_s(self, line: _Line, delay_s: float) -> float:
        if not line.shapes:
            return delay_s
        now_s = self._world.loop.time()
        return delay_s + line.shapes.delay_s() + line.shapes.through_at("there", MESSAGE_BYTES, now_s) - now_s

    def _arrive(self, line: _Line, arrive: Callable[[], None]) -> None:
        if line.shapes.cut:
            line.held.append(lambda: self._late(arrive))
        else:
            arrive()

    def _late(self, arrive: Callable[[], None]) -> None:
        """A cut has ended: what was under way arrives, unless its sender has given it up meanwhile."""
        if self._rng.random() < 0.5:
            arrive()

    def _reshaped(self, line: _Line) -> None:
        if not line.shapes:
            line.shapes.forget()
        if not line.shapes.cut:
            held, line.held = line.held, []
            stalled, line.stalled = line.stalled, []
            for then in held:
                self._world.later(self.latency_s(), then)
            for then in stalled:
                self._world.loop.call_soon(then)
