"""The shortest path to a violation that is known to exist.

A pass with eager sends counts only moves that change a node state, so its path is a lower bound and perhaps
incomplete: each message that was sent at once takes a step of its own. A second pass visits the same node states and
counts every step: its path is complete and an upper bound. Where the bounds differ, a third pass counts every step of
all states, but leaves out each state that is further from the violation than the upper bound allows, by a map of
distances in changes of node states (A* with that map as an admissible heuristic, level by level: Hart, Nilsson and
Raphael, "A formal basis for the heuristic determination of minimum cost paths", IEEE TSSC 4(2), 1968).
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import NamedTuple

from harness.explore.breadth import Bounds, BreadthFirst, NodeStates, Progress, TimeBudget
from harness.explore.moves import ALL, SHORTEST
from harness.explore.space import Space, Transition

Goal = Callable[[NodeStates], str]


class ShortestPath(NamedTuple):
    """The node states at its end, and its steps. ``shortest``: certainly no other path is shorter."""

    to: NodeStates
    steps: tuple[Transition, ...]
    shortest: bool


class Nearest:
    """A search for the shortest path to node states that fulfil ``goal``, within the bounds and the time that is left."""

    def __init__(self, space: Space, bounds: Bounds, goal: Goal, time_budget: TimeBudget, progress: Progress) -> None:
        self._space = space
        self._bounds = bounds
        self._goal = goal
        self._time_budget = time_budget
        self._progress = progress
        self._certain = True
        self.states = 0

    def find(self, path: list[NodeStates]) -> ShortestPath:
        """Return a complete path. ``path`` has the node states on a shortest path with eager sends."""
        on_path = frozenset(path)
        unlimited = Bounds(self._bounds.crashes, states=sys.maxsize)
        known = self._exact(unlimited, TimeBudget(inf), lambda node_states, _: node_states in on_path)
        assert known is not None, "the states of the path are reachable one after the other"
        if len(known.steps) > len(path) - 1:
            distances = self._distances(len(known.steps) - 1)
            bounds = replace(self._bounds, depth=0)
            most = len(known.steps)
            shorter = self._exact(
                bounds, self._time_budget, lambda node_states, steps: steps + distances.get(node_states, inf) < most
            )
            known = shorter or known
        return known._replace(shortest=self._certain and not self._time_budget.is_exceeded())

    def _exact(
        self, bounds: Bounds, time_budget: TimeBudget, is_promising: Callable[[NodeStates, int], bool]
    ) -> ShortestPath | None:
        search = BreadthFirst(self._space, SHORTEST, bounds, time_budget, self._progress, is_promising)
        number = search.find(self._goal)
        self.states += len(search.states)
        self._certain = self._certain and not search.limit
        return None if number is None else ShortestPath(search.states[number].node_states, search.steps(number), False)

    def _distances(self, depth: int) -> dict[NodeStates, int]:
        """Return the number of changes of node states from each state to the goal, for all within ``depth`` changes.

        Each change is one step at least and sends are free here, so a distance never exceeds the true one: the
        heuristic is admissible, and the third pass leaves out no shortest path.
        """
        search = BreadthFirst(
            self._space, ALL, replace(self._bounds, depth=depth), self._time_budget, self._progress, with_edges=True
        )
        search.find(lambda _: False)
        self.states += len(search.states)
        self._certain = self._certain and search.limit in ("", "depth")
        predecessors: dict[NodeStates, list[NodeStates]] = {}
        for before, after in search.edges:
            predecessors.setdefault(after, []).append(before)
        distances = {node_states: 0 for node_states in search.node_states() if self._goal(node_states)}
        waiting = list(distances)
        for node_states in waiting:
            for before in predecessors.get(node_states, ()):
                if before not in distances:
                    distances[before] = distances[node_states] + 1
                    waiting.append(before)
        return distances
