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

from harness.explore.breadth import Bounds, BreadthFirst, Clock, Places, Watch
from harness.explore.moves import ALL, SHORTEST
from harness.explore.space import Space, Transition

Wanted = Callable[[Places], str]


class Way(NamedTuple):
    """Its end and its steps. ``shortest``: it is certain that no other is shorter."""

    to: Places
    steps: tuple[Transition, ...]
    shortest: bool


class Nearest:
    """Looks for the shortest way to ``wanted`` places within the bounds and the time that is left."""

    def __init__(self, space: Space, bounds: Bounds, wanted: Wanted, clock: Clock, watch: Watch) -> None:
        self._space = space
        self._bounds = bounds
        self._wanted = wanted
        self._clock = clock
        self._watch = watch
        self._sure = True
        self.states = 0

    def find(self, way: list[Places]) -> Way:
        """``way`` are the places on a way that is the shortest if everything is sent eagerly."""
        by = frozenset(way)
        endless = Bounds(self._bounds.crashes, states=sys.maxsize)
        known = self._exact(endless, Clock(inf), lambda places, _: places in by)
        assert known is not None, "the way was there"
        if len(known.steps) > len(way) - 1:
            away = self._map(len(known.steps) - 1)
            bounds = replace(self._bounds, depth=0)
            most = len(known.steps)
            shorter = self._exact(bounds, self._clock, lambda places, steps: steps + away.get(places, inf) < most)
            known = shorter or known
        return known._replace(shortest=self._sure and not self._clock.up())

    def _exact(self, bounds: Bounds, clock: Clock, worth: Callable[[Places, int], bool]) -> Way | None:
        met = BreadthFirst(self._space, SHORTEST, bounds, clock, self._watch, worth)
        found = met.until(self._wanted)
        self.states += len(met.states)
        self._sure = self._sure and not met.limit
        return None if found is None else Way(met.states[found].places, met.steps(found), False)

    def _map(self, depth: int) -> dict[Places, int]:
        """How many changes of places it takes at least to wanted ones, from all that are no further than ``depth`` changes."""
        met = BreadthFirst(self._space, ALL, replace(self._bounds, depth=depth), self._clock, self._watch, mapped=True)
        met.until(lambda _: False)
        self.states += len(met.states)
        self._sure = self._sure and met.limit in ("", "depth")
        back: dict[Places, list[Places]] = {}
        for before, after in met.edges:
            back.setdefault(after, []).append(before)
        away = {places: 0 for places in met.places() if self._wanted(places)}
        waiting = list(away)
        for places in waiting:
            for before in back.get(places, ()):
                if before not in away:
                    away[before] = away[places] + 1
                    waiting.append(before)
        return away
