"""One breadth-first pass over the states of a space, until one is found or a bound is reached."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from harness.explore.moves import Moves, Reductions
from harness.explore.space import Move, Space, Transition

NodeStates = tuple[int, ...]
Progress = Callable[[int, int], None]
LOOK_EVERY = 500  # states between two looks at the clock


class State(NamedTuple):
    """``places`` has the number of each node's place, ``packets`` (a bit mask) all that were ever sent."""

    node_states: NodeStates
    packets: int
    crashes: int

    def after(self, move: Move) -> "State":
        node_states = (*self.node_states[: move.at], move.node_state, *self.node_states[move.at + 1 :])
        return State(node_states, self.packets | move.packets, self.crashes + move.crashes)


@dataclass(frozen=True, slots=True)
class Bounds:
    """``crashes`` in a run; the others are where a search gives up. ``depth``: steps that change a node, 0 for no
    limit.
    """

    crashes: int = 1
    depth: int = 0
    states: int = 2_000_000
    seconds: float = 300.0


class TimeBudget:
    """When time is up, asked now and then."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._seconds = seconds

    def spent(self) -> float:
        return time.monotonic() - self._began

    def up(self) -> bool:
        return self.spent() > self._seconds


class BreadthFirst:
    """The states in the order in which they were met. ``limit`` is the bound that ended the pass, or empty.

    ``worth``: whether these places, so many moves from the beginning, are worth a look. ``edges`` has every change of
    places that was possible, if they are ``mapped``.
    """

    def __init__(
        self,
        space: Space,
        reductions: Reductions,
        bounds: Bounds,
        clock: TimeBudget,
        progress: Progress = lambda _states, _depth: None,
        worth: Callable[[NodeStates, int], bool] | None = None,
        mapped: bool = False,
    ) -> None:
        self.states: list[State] = []
        self.edges: list[tuple[NodeStates, NodeStates]] = []
        self.depth = 0
        self.limit = ""
        self._moves = Moves(space, reductions)
        self._bounds = bounds
        self._clock = clock
        self._progress = progress
        self._worth = worth
        self._mapped = mapped
        self._known: _KnownStates = _MaximalStates() if reductions.covered_states else _AllStates()
        self._came: list[tuple[int, Move | None]] = []
        self._meet(space.initial, 0, 0, 0, (-1, None))

    def until(self, wanted: Callable[[NodeStates], object]) -> int | None:
        """The number of the first state with wanted places, which is as near as any; None if there is none or a bound
        is met.
        """
        if wanted(self.states[0].node_states):
            return 0
        level_ends = 1
        for at, state in enumerate(self.states):
            if at == level_ends:
                self.depth += 1
                level_ends = len(self.states)
            if len(self.states) > self._bounds.states:
                self.limit = "states"
                return None
            if at % LOOK_EVERY == 0 and self._late():
                self.limit = "seconds"
                return None
            for met in self._expand(at, state):
                if self._bounds.depth and self.depth == self._bounds.depth:
                    self.limit = "depth"
                    return None
                if wanted(met):
                    return len(self.states) - 1
        return None

    def node_states(self) -> dict[NodeStates, int]:
        """All places that were met, each with its first state."""
        found: dict[NodeStates, int] = {}
        for at, state in enumerate(self.states):
            found.setdefault(state.node_states, at)
        return found

    def path(self, to: int) -> list[NodeStates]:
        """The places on the way to a state, from the beginning."""
        return [self.states[at].node_states for at, _ in self._path(to)]

    def steps(self, to: int) -> tuple[Transition, ...]:
        """The steps on the way to a state."""
        return tuple(move.step for _, move in self._path(to) if move is not None)

    # ------------------------------------------------------------ inside

    def _path(self, to: int) -> list[tuple[int, Move | None]]:
        """The states on the way, each with the move that led to it."""
        path = []
        while to >= 0:
            before, move = self._came[to]
            path.append((to, move))
            to = before
        return path[::-1]

    def _expand(self, number: int, state: State) -> Iterator[NodeStates]:
        """Take every move of a state; yield the node states of each new state once it is the last of ``states``."""
        node_states, packets, crashes = state
        for at in range(len(node_states)):
            before, after = node_states[:at], node_states[at + 1 :]
            for move in self._moves.at(at, node_states, packets):
                if crashes + move.crashes > self._bounds.crashes:
                    continue
                then = (*before, move.node_state, *after)
                if self._worth is not None and not self._worth(then, self.depth + 1):
                    continue
                if self._mapped:
                    self.edges.append((node_states, then))
                if self._meet(then, packets | move.packets, packets, crashes + move.crashes, (number, move)):
                    yield then

    def _meet(
        self, node_states: NodeStates, packets: int, known: int, crashes: int, came: tuple[int, Move | None]
    ) -> bool:
        """Add a state unless a known one covers it, and return whether it is new. ``known``: see ``Moves.sent``."""
        # Nine of ten states are covered, so no state is made before this is known.
        if self._known.covers(node_states, packets, crashes):
            return False
        _, move = came
        sent = self._moves.sent(node_states, packets, known, move.at if move is not None else None)
        if sent != packets and self._known.covers(node_states, sent, crashes):
            return False
        self._known.add(node_states, sent, crashes)
        self.states.append(State(node_states, sent, crashes))
        self._came.append(came)
        return True

    def _late(self) -> bool:
        self._progress(len(self.states), self.depth)
        return self._clock.up()


class _KnownStates(Protocol):
    def covers(self, node_states: NodeStates, packets: int, crashes: int) -> bool: ...
    def add(self, node_states: NodeStates, packets: int, crashes: int) -> None: ...


class _AllStates:
    """Every state for itself."""

    def __init__(self) -> None:
        self._states: set[tuple[NodeStates, int, int]] = set()

    def covers(self, node_states: NodeStates, packets: int, crashes: int) -> bool:
        return (node_states, packets, crashes) in self._states

    def add(self, node_states: NodeStates, packets: int, crashes: int) -> None:
        self._states.add((node_states, packets, crashes))


class _MaximalStates:
    """For each places the states that no other covers: (packets, crashes) each."""

    def __init__(self) -> None:
        self._states: dict[NodeStates, list[tuple[int, int]]] = {}

    def covers(self, node_states: NodeStates, packets: int, crashes: int) -> bool:
        for more, fewer in self._states.get(node_states, ()):  # noqa: SIM110 - the inner loop, and any() is slow
            if fewer <= crashes and not packets & ~more:
                return True
        return False

    def add(self, node_states: NodeStates, packets: int, crashes: int) -> None:
        others = self._states.setdefault(node_states, [])
        if others:
            others[:] = [other for other in others if other[1] < crashes or other[0] & ~packets]
        others.append((packets, crashes))
