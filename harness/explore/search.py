"""Search of every reachable state of a small case: the shipped machines and the pure store commands, with every crash.

A state is where each node is, which packets were ever sent, and how many crashes there have been (``space.py``). The search
leaves out states that others cover (``moves.py``) and asserts in all places that it meets what must hold (``promises.py``) and
that everything ends from there (``ending.py``). If something is broken, a second search finds the shortest way to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.explore.breadth import Bounds, BreadthFirst, NodeStates, Progress, State, TimeBudget
from harness.explore.case import SearchCase
from harness.explore.invariants import Invariants, Tables
from harness.explore.liveness import Liveness
from harness.explore.moves import ALL, NONE, Moves, Reductions
from harness.explore.shortest import Nearest
from harness.explore.space import Space, Transition
from protocols.core import Config, Protocol

__all__ = ["Bounds", "Search", "SearchResult", "State", "Transition"]

UNFINISHED = "unfinished"
LOOK_EVERY = 256  # places between two looks at the clock


@dataclass(slots=True)
class SearchResult:
    """What a search came to. ``violation`` is ``PROMISE: how`` or empty, ``path`` a way to it, ``shortest`` if none is shorter.

    ``limit`` names the bound that ended the search, or is empty: every state was seen, or the violation. ``depth`` counts steps
    that change a node.
    """

    case: SearchCase
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
    def invariant(self) -> str:
        """The name of what is broken."""
        return self.violation.partition(":")[0]

    @property
    def unsafe(self) -> bool:
        """Whether a state is wrong, and not only one from which something never ends."""
        return bool(self.violation) and self.invariant != UNFINISHED


class Search:
    """All reachable states of one case under one protocol and configuration."""

    def __init__(
        self, protocol: Protocol, config: Config, case: SearchCase, bounds: Bounds, reductions: Reductions = ALL
    ) -> None:
        self.case = case
        self.bounds = bounds
        self.space = Space(protocol, config, case)
        self.initial = State(self.space.initial, 0, 0)
        self.reached: tuple[NodeStates, ...] = ()  # by the last run
        self._reductions = reductions
        self._invariants = Invariants(protocol, config, case)
        self._liveness = Liveness(Space(protocol, config, case, patience=1))
        self._all = Moves(self.space, NONE)
        self._stores: list[dict[int, Tables]] = [{} for _ in self.space.nodes]
        self._judged: dict[NodeStates, str] = {}

    def run(self, progress: Progress = lambda _states, _depth: None) -> SearchResult:
        """Search until everything is seen, a violation is found, or a bound is reached. ``watch`` hears states and depth."""
        clock = TimeBudget(self.bounds.seconds)
        first = BreadthFirst(self.space, self._reductions, self.bounds, clock, progress)
        bad = first.until(self.safety_violation)
        if bad is None and not first.limit:
            bad = self._first_unfinished(first, clock, progress)
        self.reached = tuple(first.node_states())
        found = SearchResult(self.case, len(first.states), first.depth, clock.spent(), first.limit)
        if bad is not None:
            self._explain(found, first, bad, clock, progress)
        return found

    def safety_violation(self, node_states: NodeStates) -> str:
        """The first promise that is broken in these places, or nothing."""
        found = self._judged.get(node_states)
        if found is None:
            stores = [self._tables(at, number) for at, number in enumerate(node_states)]
            clients = self.space.node_state(self.space.home, node_states[self.space.home]).clients
            assert clients is not None, "the coordinator has clients"
            ended = not self.space.unfinished(node_states)
            found = self._judged[node_states] = self._invariants.violated(stores, clients, ended)
        return found

    def liveness_violation(self, node_states: NodeStates) -> str:
        """What can never end from these places, or nothing."""
        if self._liveness.ends(self.space.node_state(at, number) for at, number in enumerate(node_states)):
            return ""
        left = "; ".join(f"{node}: {', '.join(txns)}" for node, txns in self.space.unfinished(node_states).items())
        return f"{UNFINISHED}: without any more faults, and without what was under way, it never ends ({left})"

    def successors(self, state: State) -> Iterator[tuple[Transition, State]]:
        """Every single way to go on, with nothing left out."""
        for move in self._all.of(state.node_states, state.packets):
            after = state.after(move)
            if after.crashes <= self.bounds.crashes and after != state:
                yield move.step, after

    # ------------------------------------------------------------ inside

    def _first_unfinished(self, met: BreadthFirst, clock: TimeBudget, progress: Progress) -> int | None:
        """The later places are asked first: they know the end of the way for the others."""
        first = None
        for count, (node_states, at) in enumerate(reversed(met.node_states().items())):
            if count % LOOK_EVERY == 0:
                progress(len(met.states), met.depth)
                if clock.up():
                    met.limit = "seconds" if first is None else ""
                    break
            if self.liveness_violation(node_states):
                first = at
        return first

    def _explain(self, found: SearchResult, met: BreadthFirst, bad: int, clock: TimeBudget, progress: Progress) -> None:
        """Tell what is broken, and the shortest way there."""
        node_states, found.path = met.states[bad].node_states, met.steps(bad)
        wanted = self.safety_violation if self.safety_violation(node_states) else self.liveness_violation
        found.shortest = True
        if self._reductions.eager_sends:
            nearest = Nearest(self.space, self.bounds, wanted, clock, progress)
            node_states, found.path, found.shortest = nearest.find(met.path(bad))
            found.states += nearest.states
        found.violation = wanted(node_states)
        found.seconds = clock.spent()

    def _tables(self, at: int, number: int) -> Tables:
        tables = self._stores[at].get(number)
        if tables is None:
            frozen = self.space.node_state(at, number).local.tables
            tables = self._stores[at][number] = {name: dict(fields) for name, fields in frozen}
        return tables
