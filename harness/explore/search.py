"""Search of every reachable state of a small case: the shipped machines and the pure store commands, with every crash.

A state is where each node is, which packets were ever sent, and how many crashes there have been (``space.py``). The search
leaves out states that others cover (``moves.py``) and asserts in all places that it meets what must hold (``promises.py``) and
that everything ends from there (``ending.py``). If something is broken, a second search finds the shortest way to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.explore.breadth import Bounds, BreadthFirst, Clock, Places, State, Watch
from harness.explore.case import Case
from harness.explore.ending import Ending
from harness.explore.moves import ALL, NONE, Moves, Reductions
from harness.explore.promises import Promises, Tables
from harness.explore.shortest import Nearest
from harness.explore.space import Space, Transition
from protocols.core import Config, Protocol

__all__ = ["Bounds", "Found", "Search", "State", "Transition"]

STUCK = "stuck"
LOOK_EVERY = 256  # places between two looks at the clock


@dataclass(slots=True)
class Found:
    """What a search came to. ``violation`` is ``PROMISE: how`` or empty, ``path`` a way to it, ``shortest`` if none is shorter.

    ``limit`` names the bound that ended the search, or is empty: every state was seen, or the violation. ``depth`` counts steps
    that change a node.
    """

    case: Case
    states: int
    depth: int
    seconds: float
    limit: str = ""
    violation: str = ""
    path: tuple[Transition, ...] = ()
    shortest: bool = False

    @property
    def exhausted(self) -> bool:
        return not self.limit and not self.violation

    @property
    def promise(self) -> str:
        """The name of what is broken."""
        return self.violation.partition(":")[0]

    @property
    def unsafe(self) -> bool:
        """Whether a state is wrong, and not only one from which something never ends."""
        return bool(self.violation) and self.promise != STUCK


class Search:
    """All reachable states of one case under one protocol and configuration."""

    def __init__(
        self, protocol: Protocol, config: Config, case: Case, bounds: Bounds, reductions: Reductions = ALL
    ) -> None:
        self.case = case
        self.bounds = bounds
        self.space = Space(protocol, config, case)
        self.initial = State(self.space.initial, 0, 0)
        self.reached: tuple[Places, ...] = ()  # by the last run
        self._reductions = reductions
        self._promises = Promises(protocol, config, case)
        self._ending = Ending(Space(protocol, config, case, patience=1))
        self._all = Moves(self.space, NONE)
        self._stores: list[dict[int, Tables]] = [{} for _ in self.space.nodes]
        self._judged: dict[Places, str] = {}

    def run(self, watch: Watch = lambda _states, _depth: None) -> Found:
        """Search until everything is seen, a violation is found, or a bound is reached. ``watch`` hears states and depth."""
        clock = Clock(self.bounds.seconds)
        first = BreadthFirst(self.space, self._reductions, self.bounds, clock, watch)
        bad = first.until(self.broken)
        if bad is None and not first.limit:
            bad = self._first_stuck(first, clock, watch)
        self.reached = tuple(first.places())
        found = Found(self.case, len(first.states), first.depth, clock.spent(), first.limit)
        if bad is not None:
            self._explain(found, first, bad, clock, watch)
        return found

    def broken(self, places: Places) -> str:
        """The first promise that is broken in these places, or nothing."""
        found = self._judged.get(places)
        if found is None:
            stores = [self._tables(at, number) for at, number in enumerate(places)]
            clients = self.space.place(self.space.home, places[self.space.home]).clients
            assert clients is not None, "the coordinator has clients"
            ended = not self.space.unfinished(places)
            found = self._judged[places] = self._promises.broken(stores, clients, ended)
        return found

    def stuck(self, places: Places) -> str:
        """What can never end from these places, or nothing."""
        if self._ending.ends(self.space.place(at, number) for at, number in enumerate(places)):
            return ""
        left = "; ".join(f"{node}: {', '.join(txns)}" for node, txns in self.space.unfinished(places).items())
        return f"{STUCK}: without any more faults, and without what was under way, it never ends ({left})"

    def successors(self, state: State) -> Iterator[tuple[Transition, State]]:
        """Every single way to go on, with nothing left out."""
        for move in self._all.of(state.places, state.packets):
            after = state.after(move)
            if after.crashes <= self.bounds.crashes and after != state:
                yield move.step, after

    # ------------------------------------------------------------ inside

    def _first_stuck(self, met: BreadthFirst, clock: Clock, watch: Watch) -> int | None:
        """The later places are asked first: they know the end of the way for the others."""
        first = None
        for count, (places, at) in enumerate(reversed(met.places().items())):
            if count % LOOK_EVERY == 0:
                watch(len(met.states), met.depth)
                if clock.up():
                    met.limit = "seconds" if first is None else ""
                    break
            if self.stuck(places):
                first = at
        return first

    def _explain(self, found: Found, met: BreadthFirst, bad: int, clock: Clock, watch: Watch) -> None:
        """Tell what is broken, and the shortest way there."""
        places, found.path = met.states[bad].places, met.steps(bad)
        wanted = self.broken if self.broken(places) else self.stuck
        found.shortest = True
        if self._reductions.eager:
            nearest = Nearest(self.space, self.bounds, wanted, clock, watch)
            places, found.path, found.shortest = nearest.find(met.way(bad))
            found.states += nearest.states
        found.violation = wanted(places)
        found.seconds = clock.spent()

    def _tables(self, at: int, number: int) -> Tables:
        tables = self._stores[at].get(number)
        if tables is None:
            frozen = self.space.place(at, number).local.tables
            tables = self._stores[at][number] = {name: dict(fields) for name, fields in frozen}
        return tables
