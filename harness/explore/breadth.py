"""One breadth-first pass over the states of a space, until one is found or a bound is reached."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from harness.explore.moves import Moves, Reductions
from harness.explore.space import Move, Space, Transition

Places = tuple[int, ...]
Watch = Callable[[int, int], None]
LOOK_EVERY = 500  # states between two looks at the clock


class State(NamedTuple):
    """``places`` has the number of each node's place, ``packets`` (a bit mask) all that were ever sent."""

    places: Places
    packets: int
    crashes: int

    def after(self, move: Move) -> "State":
        places = (*self.places[: move.at], move.place, *self.places[move.at + 1 :])
        return State(places, self.packets | move.packets, self.crashes + move.crashes)


@dataclass(frozen=True, slots=True)
class Bounds:
    """``crashes`` in a run; the others are where a search gives up. ``depth``: steps that change a node, 0 for no limit."""

    crashes: int = 1
    depth: int = 0
    states: int = 2_000_000
    seconds: float = 300.0


class Clock:
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
        clock: Clock,
        watch: Watch = lambda _states, _depth: None,
        worth: Callable[[Places, int], bool] = lambda _places, _depth: True,
        mapped: bool = False,
    ) -> None:
        self.states: list[State] = []
        self.edges: list[tuple[Places, Places]] = []
        self.depth = 0
        self.limit = ""
        self._moves = Moves(space, reductions)
        self._bounds = bounds
        self._clock = clock
        self._watch = watch
        self._worth = worth
        self._mapped = mapped
        self._known: _Known = _Uncovered() if reductions.covered else _Everything()
        self._came: list[tuple[int, Move | None]] = []
        self._meet(State(space.initial, 0, 0), (-1, None))

    def until(self, wanted: Callable[[Places], object]) -> int | None:
        """The number of the first state with wanted places, which is as near as any; None if there is none or a bound is met."""
        if wanted(self.states[0].places):
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
            for move in self._moves.of(state.places, state.packets):
                after = state.after(move)
                if after.crashes > self._bounds.crashes or not self._worth(after.places, self.depth + 1):
                    continue
                if self._mapped:
                    self.edges.append((state.places, after.places))
                if not self._meet(after, (at, move)):
                    continue
                if self._bounds.depth and self.depth == self._bounds.depth:
                    self.limit = "depth"
                    return None
                if wanted(self.states[-1].places):
                    return len(self.states) - 1
        return None

    def places(self) -> dict[Places, int]:
        """All places that were met, each with its first state."""
        found: dict[Places, int] = {}
        for at, state in enumerate(self.states):
            found.setdefault(state.places, at)
        return found

    def way(self, to: int) -> list[Places]:
        """The places on the way to a state, from the beginning."""
        return [self.states[at].places for at, _ in self._way(to)]

    def steps(self, to: int) -> tuple[Transition, ...]:
        """The steps on the way to a state."""
        return tuple(move.step for _, move in self._way(to) if move is not None)

    # ------------------------------------------------------------ inside

    def _way(self, to: int) -> list[tuple[int, Move | None]]:
        """The states on the way, each with the move that led to it."""
        way = []
        while to >= 0:
            before, move = self._came[to]
            way.append((to, move))
            to = before
        return way[::-1]

    def _meet(self, state: State, came: tuple[int, Move | None]) -> bool:
        """Whether it is new: not covered by what is known."""
        if self._known.covers(state):
            return False
        sent = state._replace(packets=self._moves.sent(state.places, state.packets))
        if sent.packets != state.packets and self._known.covers(sent):
            return False
        self._known.add(sent)
        self.states.append(sent)
        self._came.append(came)
        return True

    def _late(self) -> bool:
        self._watch(len(self.states), self.depth)
        return self._clock.up()


class _Known(Protocol):
    def covers(self, state: State) -> bool: ...
    def add(self, state: State) -> None: ...


class _Everything:
    """Every state for itself."""

    def __init__(self) -> None:
        self._states: set[State] = set()

    def covers(self, state: State) -> bool:
        return state in self._states

    def add(self, state: State) -> None:
        self._states.add(state)


class _Uncovered:
    """For each places the states that no other covers: (packets, crashes) each."""

    def __init__(self) -> None:
        self._states: dict[Places, list[tuple[int, int]]] = {}

    def covers(self, state: State) -> bool:
        places, packets, crashes = state
        for more, fewer in self._states.get(places, ()):  # noqa: SIM110 - the inner loop, and any() is slow
            if fewer <= crashes and not packets & ~more:
                return True
        return False

    def add(self, state: State) -> None:
        places, packets, crashes = state
        others = self._states.setdefault(places, [])
        others[:] = [other for other in others if other[1] < crashes or other[0] & ~packets]
        others.append((packets, crashes))
