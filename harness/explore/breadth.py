"""One breadth-first pass over the states of a space, until a goal or a bound is reached."""

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
    """A state: the number of each node's state, a mask of all packets ever sent, and the number of crashes so far."""

    node_states: NodeStates
    packets: int
    crashes: int

    def after(self, move: Move) -> "State":
        """Return the state after a move."""
        node_states = (*self.node_states[: move.at], move.node_state, *self.node_states[move.at + 1 :])
        return State(node_states, self.packets | move.packets, self.crashes + move.crashes)


@dataclass(frozen=True, slots=True)
class Bounds:
    """The highest number of ``crashes`` on a path, and the limits of the search in ``states`` and ``seconds``.

    ``depth`` limits the steps that change a node, 0 for no limit.
    """

    crashes: int = 1
    depth: int = 0
    states: int = 2_000_000
    seconds: float = 300.0


class TimeBudget:
    """The time that a search may take."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._seconds = seconds

    def elapsed(self) -> float:
        """Return the time since the begin in seconds."""
        return time.monotonic() - self._began

    def is_exceeded(self) -> bool:
        """Whether the time is used up."""
        return self.elapsed() > self._seconds


class BreadthFirst:
    """One pass; ``states`` are in the order of their discovery, ``limit`` is the bound that ended the pass, or empty.

    ``is_promising`` decides for node states at a depth whether the pass visits them. ``edges`` has every change of
    node states, if ``with_edges``.
    """

    def __init__(
        self,
        space: Space,
        reductions: Reductions,
        bounds: Bounds,
        time_budget: TimeBudget,
        progress: Progress = lambda _states, _depth: None,
        is_promising: Callable[[NodeStates, int], bool] | None = None,
        with_edges: bool = False,
    ) -> None:
        self.states: list[State] = []
        self.edges: list[tuple[NodeStates, NodeStates]] = []
        self.depth = 0
        self.limit = ""
        self._moves = Moves(space, reductions)
        self._bounds = bounds
        self._time_budget = time_budget
        self._progress = progress
        self._is_promising = is_promising
        self._with_edges = with_edges
        self._known: _KnownStates = _MaximalStates() if reductions.covered_states else _AllStates()
        self._predecessors: list[tuple[int, Move | None]] = []
        self._add(space.initial, 0, 0, 0, (-1, None))

    def find(self, goal: Callable[[NodeStates], object]) -> int | None:
        """Return the number of the first state whose node states fulfil ``goal``; None without one, or at a bound.

        The pass goes level by level, so no other such state is nearer.
        """
        if goal(self.states[0].node_states):
            return 0
        level_ends = 1
        # The list is the queue as well: it grows in this loop, by a level while the level before is expanded.
        for at, state in enumerate(self.states):
            if at == level_ends:
                self.depth += 1
                level_ends = len(self.states)
            if len(self.states) > self._bounds.states:
                self.limit = "states"
                return None
            if at % LOOK_EVERY == 0 and self._is_out_of_time():
                self.limit = "seconds"
                return None
            for reached in self._expand(at, state):
                if self._bounds.depth and self.depth == self._bounds.depth:
                    self.limit = "depth"
                    return None
                if goal(reached):
                    return len(self.states) - 1
        return None

    def node_states(self) -> dict[NodeStates, int]:
        """Return all node states of the pass, each with the number of its first state."""
        first: dict[NodeStates, int] = {}
        for at, state in enumerate(self.states):
            first.setdefault(state.node_states, at)
        return first

    def path(self, to: int) -> list[NodeStates]:
        """Return the node states on the path to a state, from the initial one."""
        return [self.states[at].node_states for at, _ in self._path(to)]

    def steps(self, to: int) -> tuple[Transition, ...]:
        """Return the steps on the path to a state."""
        return tuple(move.step for _, move in self._path(to) if move is not None)

    # ------------------------------------------------------------ inside

    def _path(self, to: int) -> list[tuple[int, Move | None]]:
        """Return the states on the path to a state, each with the move that leads to it."""
        path = []
        while to >= 0:
            before, move = self._predecessors[to]
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
                if self._is_promising is not None and not self._is_promising(then, self.depth + 1):
                    continue
                if self._with_edges:
                    self.edges.append((node_states, then))
                if self._add(then, packets | move.packets, packets, crashes + move.crashes, (number, move)):
                    yield then

    def _add(
        self, node_states: NodeStates, packets: int, known: int, crashes: int, predecessor: tuple[int, Move | None]
    ) -> bool:
        """Add a state unless a known one covers it, and return whether it is new. ``known``: see ``Moves.sent``."""
        # Nine of ten states are covered, so no state is made before this is known.
        if self._known.covers(node_states, packets, crashes):
            return False
        _, move = predecessor
        sent = self._moves.sent(node_states, packets, known, move.at if move is not None else None)
        if sent != packets and self._known.covers(node_states, sent, crashes):
            return False
        self._known.add(node_states, sent, crashes)
        self.states.append(State(node_states, sent, crashes))
        self._predecessors.append(predecessor)
        return True

    def _is_out_of_time(self) -> bool:
        """Report the progress, and return whether the time is used up."""
        self._progress(len(self.states), self.depth)
        return self._time_budget.is_exceeded()


class _KnownStates(Protocol):
    """The states of a pass so far."""

    def covers(self, node_states: NodeStates, packets: int, crashes: int) -> bool: ...
    def add(self, node_states: NodeStates, packets: int, crashes: int) -> None: ...


class _AllStates:
    """All states: a state covers only itself."""

    def __init__(self) -> None:
        self._states: set[tuple[NodeStates, int, int]] = set()

    def covers(self, node_states: NodeStates, packets: int, crashes: int) -> bool:
        return (node_states, packets, crashes) in self._states

    def add(self, node_states: NodeStates, packets: int, crashes: int) -> None:
        self._states.add((node_states, packets, crashes))


class _MaximalStates:
    """The states that no other covers, (packets, crashes) for each node states: the maximal elements of the covering
    order.

    They are few, so a list is faster than an index.
    """

    def __init__(self) -> None:
        self._states: dict[NodeStates, list[tuple[int, int]]] = {}

    def covers(self, node_states: NodeStates, packets: int, crashes: int) -> bool:
        for more, fewer in self._states.get(node_states, ()):  # noqa: SIM110 - the inner loop, and any() is slow
            if fewer <= crashes and not packets & ~more:
                return True
        return False

    def add(self, node_states: NodeStates, packets: int, crashes: int) -> None:
        # The states that the new one covers are no longer maximal. They stay in the pass, whose order gives the lengths.
        others = self._states.setdefault(node_states, [])
        if others:
            others[:] = [other for other in others if other[1] < crashes or other[0] & ~packets]
        others.append((packets, crashes))
