"""The simulated network: every directed link between two nodes, the packets under way, and the rules of faults.

The network is imperfect without any fault: nearly every packet arrives within a millisecond, a few are so slow that a time
limit ends before, and now and then one is lost. With uniform delays a time limit would hardly ever end at a bad moment.

Two services: `carry` is for a packet of its own (UDP, or a request over a new connection), which may overtake others; a `Pipe`
is one direction of a connection, in order (TCP).

    carry -> lost                       by roughness, or a rule that resets
          -> late -> arrive             by roughness or a rule; a heal makes it due at once
          -> held -> arrive or nothing  by a cut, until its end
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
SLOW = 0.01  # the share of slow packets
SLOW_MEAN_S = 0.25
SLOWEST_S = 4.0
LOST = 0.002
MESSAGE_BYTES = 200
BEHIND_S = 1e-6  # no two packets of a connection arrive at the same moment


Arrive = Callable[[], None]


@dataclass(slots=True)
class _Line:
    """One directed link. `late` are packets that a rule or roughness delays, `held` those that wait for the end of a cut."""

    shapes: Shapes = field(default_factory=Shapes)
    late: dict[int, tuple[asyncio.TimerHandle, Arrive]] = field(default_factory=dict)
    held: list[Arrive] = field(default_factory=list)
    pipes: list["Pipe"] = field(default_factory=list)
    connections: list[Callable[[], None]] = field(default_factory=list)  # called at a reset


class SimulatedNetwork:
    """All links of a simulation. A packet is the call at its arrival. While the network is `rough`, some are slow or lost."""

    def __init__(self, world: World, link_ids: Iterable[LinkId] = ()) -> None:
        self.world = world
        self.rough = True
        self._lines = {link_id: _Line() for link_id in link_ids}
        self._rng = world.stream("network")
        self._numbers = itertools.count()

    def add(self, link_ids: Iterable[LinkId]) -> None:
        """Add links."""
        self._lines.update((link_id, _Line()) for link_id in link_ids)

    @property
    def link_ids(self) -> tuple[LinkId, ...]:
        return tuple(self._lines)

    def carry(self, link_id: LinkId, arrive: Arrive, lost: Arrive = lambda: None) -> None:
        """Send a packet that may be lost, late, and overtaken by others. `lost` is called for the reset of its connection."""
        line = self._lines[link_id]
        # Drawn before any branch, and for every packet: otherwise a rule would shift the draws of all later packets.
        delay_s = self._latency_s()
        if (self._rng.random() < LOST and self.rough) or (line.shapes and line.shapes.breaks()):
            # After the delay, not now: a sender learns of a reset no faster than of a response.
            self.world.later(delay_s, lost)
        elif line.shapes or delay_s > QUICKEST_S + USUAL_S:
            # Kept in `late`, so that a heal or `calm` can shorten the delay: a bound that counts from there would be missed.
            self._delay(line, self.shaped_s(line, delay_s), arrive)
        else:
            # A cut may begin before the arrival, so `_arrive` looks again.
            self.world.later(delay_s, lambda: self._arrive(line, arrive))

    def connections(self, link_id: LinkId) -> list[Callable[[], None]]:
        """Return the functions that are called at a reset of this link's connections, to be edited by the caller."""
        return self._lines[link_id].connections

    def when_whole(self, link_id: LinkId, then: Arrive) -> None:
        """Call `then`: now, or after the end of the link's cut."""
        line = self._lines[link_id]
        if line.shapes.cut:
            line.held.append(then)
        else:
            then()

    def line(self, link_id: LinkId) -> _Line:
        """Return the state of a link."""
        return self._lines[link_id]

    # ------------------------------------------------------------ rules

    def apply_rule(self, by: Hashable, link_ids: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        for link_id in link_ids:
            self._lines[link_id].shapes[by] = Shape(rule, rng)

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
        """Return the delay of the next packet on this link in seconds, by its rules. It draws a latency without `delay_s`."""
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
        if line.shapes.cut:  # it may have begun while the packet was under way
            line.held.append(lambda: self._late(arrive))
        else:
            arrive()

    def _late(self, arrive: Arrive) -> None:
        """Deliver a packet after a cut, or drop it: its sender's kernel may have given it up meanwhile."""
        if self._rng.random() < 0.5:
            arrive()

    def _reshaped(self, line: _Line) -> None:
        """Release the packets that the present rules no longer hold up."""
        if line.shapes.cut:  # another fault cuts the link as well
            return
        held, line.held = line.held, []
        for then in held:
            self.world.later(self._latency_s(), then)
        # Only without any rule: the delay of a rule that is left holds for the packets under way as well.
        if not line.shapes:
            line.shapes.forget()
            late, line.late = line.late, {}
            for timer, arrive in late.values():
                timer.cancel()
                self.world.later(self._latency_s(), arrive)
        for pipe in tuple(line.pipes):
            pipe.reshaped()


class Pipe:
    """One direction of a connection: packets arrive in order, or not at all after its end."""

    def __init__(self, network: SimulatedNetwork, link_id: LinkId) -> None:
        self._network = network
        self._loop = network.world.loop
        self._line = network.line(link_id)
        self._line.pipes.append(self)
        self._queue: deque[tuple[float, Arrive]] = deque()
        self._last_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        """Return the number of packets under way."""
        return len(self._queue)

    def send(self, arrive: Arrive, after_s: float = 0.0) -> bool:
        """Send a packet, which leaves `after_s` from now. Return False if a rule has reset the connection instead."""
        if self._line.shapes and self._line.shapes.breaks():
            return False
        due_s = self._loop.time() + after_s + self._network.shaped_s(self._line)
        self._last_s = max(
            self._last_s + BEHIND_S, due_s
        )  # a packet with a shorter delay must not overtake the one before
        self._queue.append((self._last_s, arrive))
        if self._timer is None:
            self._push()
        return True

    def close(self, keep: int = 0) -> None:
        """End the connection. The first `keep` packets under way still arrive, as a kernel has sent them already."""
        while len(self._queue) > keep:
            self._queue.pop()
        self._closed = True
        self._push()

    def reshaped(self) -> None:
        """Follow the link's present rules: without one, every packet under way is due now."""
        if not self._line.shapes:
            now_s = self._last_s = self._loop.time()
            self._queue = deque((now_s, arrive) for _, arrive in self._queue)
        self._push()

    def _push(self) -> None:
        """Deliver every due packet, unless the link is cut."""
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
