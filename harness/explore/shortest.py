"""The shortest way to a violation that is known to exist.

A pass that sends eagerly counts only moves that change a place, so its way is a lower bound of the shortest one, and perhaps not
a whole way: what was sent at once takes steps of its own. A pass through the same places, with every step counted, gives a whole
way and an upper bound. Where the two differ, a third pass counts every step as well, but leaves out each state from
which the violation is further away than the upper bound allows, by a map of the changes of places (A* with that map
as its heuristic, level by level).
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import NamedTuple

from harness.explore.breadth import Bounds, BreadthFirst, NodeStates, Progress, TimeBudget
from harness.explore.moves import ALL, SHORTEST
from harness.explore.space import Space, Transition

Wanted = Callable[[NodeStates], str]


class ShortestPath(NamedTuple):
    """Its end and its steps. ``shortest``: it is certain that no other is shorter."""

    to: NodeStates
    steps: tuple[Transition, ...]
    shortest: bool


class Nearest:
    """Looks for the shortest way to ``wanted`` places within the bounds and the time that is left."""

    def __init__(self, space: Space, bounds: Bounds, wanted: Wanted, clock: TimeBudget, progress: Progress) -> None:
        self._space = space
        self._bounds = bounds
        self._wanted = wanted
        self._clock = clock
        self._progress = progress
        self._sure = True
        self.states = 0

    def find(self, path: list[NodeStates]) -> ShortestPath:
        """``way`` are the places on a way that is the shortest if everything is sent eagerly."""
        by = frozenset(path)
        endless = Bounds(self._bounds.crashes, states=sys.maxsize)
        known = self._exact(endless, TimeBudget(inf), lambda node_states, _: node_states in by)
        assert known is not None, "the way was there"
        if len(known.steps) > len(path) - 1:
            away = self._map(len(known.steps) - 1)
            bounds = replace(self._bounds, depth=0)
            most = len(known.steps)
            shorter = self._exact(
                bounds, self._clock, lambda node_states, steps: steps + away.get(node_states, inf) < most
            )
            known = shorter or known
        return known._replace(shortest=self._sure and not self._clock.up())

    def _exact(
        self, bounds: Bounds, clock: TimeBudget, worth: Callable[[NodeStates, int], bool]
    ) -> ShortestPath | None:
        met = BreadthFirst(self._space, SHORTEST, bounds, clock, self._progress, worth)
        found = met.until(self._wanted)
        self.states += len(met.states)
        self._sure = self._sure and not met.limit
        return None if found is None else ShortestPath(met.states[found].node_states, met.steps(found), False)

    def _map(self, depth: int) -> dict[NodeStates, int]:
        """How many changes of places it takes at least to wanted ones, from all that are no further than ``depth`` changes."""
        met = BreadthFirst(
            self._space, ALL, replace(self._bounds, depth=depth), self._clock, self._progress, mapped=True
        )
        met.until(lambda _: False)
        self.states += len(met.states)
        self._sure = self._sure and met.limit in ("", "depth")
        back: dict[NodeStates, list[NodeStates]] = {}
        for before, after in met.edges:
            back.setdefault(after, []).append(before)
        away = {node_states: 0 for node_states in met.node_states() if self._wanted(node_states)}
        waiting = list(away)
        for node_states in waiting:
            for before in back.get(node_states, ()):
                if before not in away:
                    away[before] = away[node_states] + 1
                    waiting.append(before)
        return away
