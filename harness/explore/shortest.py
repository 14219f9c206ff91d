"""The shortest way to a violation that is known to exist.

A pass that sends eagerly counts only moves that change a place, so its way is a lower bound of the shortest one, and perhaps not
a whole way: what was sent at once takes steps of its own. A pass through the same places, with every step counted, gives a whole
way and an upper bound. Where the two differ, a third pass counts every step as well, but leaves out each state from
which the violation is further away than the upper bound allows, by a map of the changes of places (A* with that map
as its heuristic, level by level).
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf

from harness.explore.breadth import Bounds, BreadthFirst, Clock, Places, Watch
from harness.explore.moves import ALL, SHORTEST
from harness.explore.space import Space, Step

Wanted = Callable[[Places], str]


class Nearest:
    """Looks for the shortest way to ``wanted`` places within the bounds and the time that is left."""

    def __init__(self, space: Space, bounds: Bounds, wanted: Wanted, clock: Clock, watch: Watch) -> None:
        self._space = space
        self._bounds = bounds
        self._wanted = wanted
        self._clock = clock
        self._watch = watch
        self.states = 0

    def find(self, way: list[Places]) -> tuple[Places, tuple[Step, ...], bool]:
        """The places that the shortest way leads to, its steps, and whether it is certain that no way is shorter.

        ``way`` are the places on an eager way.
        """
        by = frozenset(way)
        known = self._exact(lambda places, _: places in by, Clock(inf))
        assert known is not None, "the way was there"
        if len(known[1]) == len(way) - 1:
            return *known, not self._clock.up()  # if it is up, a nearer one may not have been looked for
        away = self._map(len(known[1]) - 1)
        shorter = self._exact(lambda places, steps: steps + away.get(places, inf) < len(known[1]), self._clock)
        return *(shorter or known), not self._clock.up()

    def _exact(self, worth: Callable[[Places, int], bool], clock: Clock) -> tuple[Places, tuple[Step, ...]] | None:
        met = BreadthFirst(self._space, SHORTEST, replace(self._bounds, depth=0), clock, self._watch, worth)
        found = met.until(self._wanted)
        self.states += len(met.states)
        return None if found is None else (met.states[found].places, met.steps(found))

    def _map(self, depth: int) -> dict[Places, int]:
        """How many changes of places it takes at least to wanted ones, from all that are no further than ``depth`` changes."""
        met = BreadthFirst(self._space, ALL, replace(self._bounds, depth=depth), self._clock, self._watch, mapped=True)
        met.until(lambda _: False)
        self.states += len(met.states)
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
