"""The simulated network: every directed link between two nodes, what is on its way, and the rules that faults put there.

Without any fault it is still a network: nearly everything arrives within a millisecond, a little takes so long that somebody's
patience ends, and now and then something is lost. Uniform delays would hardly ever let a time-out fire at a bad moment.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from random import Random

from harness.runtimes.base import LinkId, Rule
from harness.runtimes.network.shaping import Shape, Shapes
from harness.runtimes.sim.world import World

QUICKEST_S = 0.0002
USUAL_S = 0.001
SLOW = 0.01  # the share of what is slow
SLOW_MEAN_S = 0.25
SLOWEST_S = 4.0
LOST = 0.002
MESSAGE_BYTES = 200
BEHIND_S = 1e-6  # on a connection nothing is at the same moment as what was sent before it


Arrive = Callable[[], None]


@dataclass(slots=True)
class _Line:
    """One directed link. `late` are packets that a rule or roughness delays, `held` those that wait for the end of a cut."""

    shapes: Shapes = field(default_factory=Shapes)
    late: dict[int, tuple[asyncio.TimerHandle, Arrive]] = field(default_factory=dict)
    held: list[Arrive] = field(default_factory=list)
    pipes: list["Pipe"] = field(default_factory=list)
    connections: list[Callable[[], None]] = field(default_factory=list)  # whom to tell of a reset


class SimulatedNetwork:
    """Packets are calls: what to do when one arrives. While it is `rough`, some are slow and some are lost by themselves."""

    def __init__(self, world: World, wires: Iterable[LinkId]) -> None:
        self.world = world
        self.rough = True
        self._lines = {wire: _Line() for wire in wires}
        self._rng = world.stream("network")
        self._numbers = itertools.count()

    @property
    def wires(self) -> tuple[LinkId, ...]:
        return tuple(self._lines)

    def carry(self, wire: LinkId, arrive: Arrive, lost: Arrive = lambda: None) -> None:
        """A packet that may be lost, late, and overtaken by others. `lost`: for a sender that sees its connection reset."""
        line = self._lines[wire]
        delay_s = self._latency_s()
        if (self._rng.random() < LOST and self.rough) or (line.shapes and line.shapes.breaks()):
            self.world.later(delay_s, lost)
        elif line.shapes or delay_s > QUICKEST_S + USUAL_S:
            self._delay(line, self.shaped_s(line, delay_s), arrive)
        else:
            self.world.later(delay_s, lambda: self._arrive(line, arrive))

    def connections(self, wire: LinkId) -> list[Callable[[], None]]:
        """Who has a connection on this link, and is told when it is reset."""
        return self._lines[wire].connections

    def when_whole(self, wire: LinkId, then: Arrive) -> None:
        """`then`, now or when the cut has ended."""
        line = self._lines[wire]
        if line.shapes.cut:
            line.held.append(then)
        else:
            then()

    def line(self, wire: LinkId) -> _Line:
        return self._lines[wire]

    # ------------------------------------------------------------ rules

    def apply_rule(self, by: Hashable, wires: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        for wire in wires:
            self._lines[wire].shapes[by] = Shape(rule, rng)

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        for line in self._lines.values():
            if line.shapes.pop(by, None) is not None:
                for broken in tuple(line.connections) if reset else ():
                    broken()
                self._reshaped(line)

    def remove_all_rules(self) -> None:
        for line in self._lines.values():
            if line.shapes:
                line.shapes.clear()
                self._reshaped(line)

    def calm(self) -> None:
        """End the roughness for good, also for the packets under way: a bound that counts from now counts on that."""
        self.rough = False
        for line in self._lines.values():
            self._reshaped(line)

    def shaped_s(self, line: _Line, delay_s: float | None = None) -> float:
        """How long the next piece takes on this line."""
        delay_s = self._latency_s() if delay_s is None else delay_s
        if not line.shapes:
            return delay_s
        now_s = self.world.loop.time()
        return delay_s + line.shapes.delay_s() + line.shapes.through_at("forward", MESSAGE_BYTES, now_s) - now_s

    # ------------------------------------------------------------ inside

    def _latency_s(self) -> float:
        draw = self._rng.random()
        if draw < SLOW and self.rough:
            return min(self._rng.expovariate(1 / SLOW_MEAN_S), SLOWEST_S)
        return QUICKEST_S + USUAL_S * draw

    def _delay(self, line: _Line, delay_s: float, arrive: Arrive) -> None:
        number = next(self._numbers)

        def due() -> None:
            del line.late[number]
            self._arrive(line, arrive)

        line.late[number] = self.world.loop.call_later(delay_s, due), arrive

    def _arrive(self, line: _Line, arrive: Arrive) -> None:
        if line.shapes.cut:
            line.held.append(lambda: self._late(arrive))
        else:
            arrive()

    def _late(self, arrive: Arrive) -> None:
        """A cut has ended: what was under way arrives, unless its sender has given it up meanwhile."""
        if self._rng.random() < 0.5:
            arrive()

    def _reshaped(self, line: _Line) -> None:
        """Where no rule is left, nothing waits for its time any longer."""
        if line.shapes.cut:
            return
        held, line.held = line.held, []
        for then in held:
            self.world.later(self._latency_s(), then)
        if not line.shapes:
            line.shapes.forget()
            late, line.late = line.late, {}
            for timer, arrive in late.values():
                timer.cancel()
                self.world.later(self._latency_s(), arrive)
        for pipe in tuple(line.pipes):
            pipe.reshaped()


class Pipe:
    """One direction of a connection: what is sent arrives in order, and nothing else."""

    def __init__(self, network: SimulatedNetwork, wire: LinkId) -> None:
        self._network = network
        self._loop = network.world.loop
        self._line = network.line(wire)
        self._line.pipes.append(self)
        self._queue: deque[tuple[float, Arrive]] = deque()
        self._last_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """How much is on its way."""
        return len(self._queue)

    def send(self, arrive: Arrive, after_s: float = 0.0) -> bool:
        """False if that has broken the connection instead."""
        if self._line.shapes and self._line.shapes.breaks():
            return False
        due_s = self._loop.time() + after_s + self._network.shaped_s(self._line)
        self._last_s = max(self._last_s + BEHIND_S, due_s)
        self._queue.append((self._last_s, arrive))
        if self._timer is None:
            self._push()
        return True

    def close(self, keep: int = 0) -> None:
        """The connection is gone. The first `keep` of what is on its way still arrive."""
        while len(self._queue) > keep:
            self._queue.pop()
        self._closed = True
        self._push()

    def reshaped(self) -> None:
        if not self._line.shapes:
            now_s = self._last_s = self._loop.time()
            self._queue = deque((now_s, arrive) for _, arrive in self._queue)
        self._push()

    def _push(self) -> None:
        """Deliver what is due, as far as the link lets it through."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue and not self._line.shapes.cut:
            due_s, arrive = self._queue[0]
            if due_s > self._loop.time():
                self._timer = self._loop.call_at(due_s, self._due)
                return
            self._queue.popleft()
            arrive()
        if self._closed and not self._queue and self in self._line.pipes:
            self._line.pipes.remove(self)

    def _due(self) -> None:
        self._timer = None
        self._push()
