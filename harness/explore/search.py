"""Search of every reachable state of a small case: the shipped machines and the pure store commands, with every crash.

A state has the state of each node, the packets ever sent, and the number of crashes (``space.py``). The search leaves
out states that others cover (``moves.py``) and judges safety (``invariants.py``) and liveness (``liveness.py``) of
all node states that it visits. After a violation a second search finds the shortest path to it (``shortest.py``).

This is explicit-state model checking (Clarke, Grumberg and Peled, "Model Checking", 1999) of the code that runs in
production. States are stored and matched, unlike in the stateless search of VeriSoft (Godefroid,
"Model checking for programming languages using VeriSoft", POPL 1997).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

from harness.explore.breadth import Bounds, BreadthFirst, NodeStates, Progress, State, TimeBudget
from harness.explore.case import SearchCase
from harness.explore.invariants import Invariants, StoreView
from harness.explore.liveness import Liveness
from harness.explore.moves import ALL, NONE, Moves, Reductions
from harness.explore.shortest import Nearest
from harness.explore.space import Space, Transition
from harness.history import gc_paused
from protocols.core import Config, Protocol

__all__ = ["Bounds", "Search", "SearchResult", "State", "Transition"]

UNFINISHED = "unfinished"
LOOK_EVERY = 256  # node states between two looks at the clock


@dataclass(slots=True)
class SearchResult:
    """The result of a search. ``violation`` is ``INVARIANT: explanation`` or empty, ``path`` leads to it.

    ``shortest``: certainly no other path is shorter. ``limit`` names the bound that ended the search, or is empty:
    every state was visited, or there is a violation. ``depth`` counts steps that change a node.
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
        """Whether every state was visited and none violates an invariant."""
        return not self.limit and not self.violation

    @property
    def invariant(self) -> str:
        """The name of the violated invariant."""
        return self.violation.partition(":")[0]

    @property
    def unsafe(self) -> bool:
        """Whether safety is violated, and not only liveness."""
        return bool(self.violation) and self.invariant != UNFINISHED


class _Projection(NamedTuple):
    """The part of a node's state on which the invariants depend. ``replies``: of its clients, empty if it has none."""

    view: StoreView
    replies: tuple[str, ...]
    ended: bool


class Search:
    """The search of one case under one protocol and configuration; ``reached`` has the node states of the last run."""

    def __init__(
        self, protocol: Protocol, config: Config, case: SearchCase, bounds: Bounds, reductions: Reductions = ALL
    ) -> None:
        self.case = case
        self.bounds = bounds
        self.space = Space(protocol, config, case)
        self.initial = State(self.space.initial, 0, 0)
        self.reached: tuple[NodeStates, ...] = ()
        self._reductions = reductions
        self._invariants = Invariants(protocol, config, case)
        self._liveness = Liveness(Space(protocol, config, case, patience=1))
        self._all = Moves(self.space, NONE)
        self._projections: list[dict[int, int]] = [{} for _ in self.space.nodes]
        self._projection_numbers: dict[_Projection, int] = {}
        self._judged: dict[tuple[int, ...], str] = {}

    def run(self, progress: Progress = lambda _states, _depth: None) -> SearchResult:
        """Search until every state is visited, a violation is found, or a bound is reached.

        ``progress`` is called with the number of states and the depth now and then.
        """
        with gc_paused():
            return self._run(progress)

    def _run(self, progress: Progress) -> SearchResult:
        time_budget = TimeBudget(self.bounds.seconds)
        first = BreadthFirst(self.space, self._reductions, self.bounds, time_budget, progress)
        violating = first.find(self.safety_violation)
        if violating is None and not first.limit:
            violating = self._first_unfinished(first, time_budget, progress)
        self.reached = tuple(first.node_states())
        result = SearchResult(self.case, len(first.states), first.depth, time_budget.elapsed(), first.limit)
        if violating is not None:
            self._explain(result, first, violating, time_budget, progress)
        return result

    def safety_violation(self, node_states: NodeStates) -> str:
        """Return the first invariant that these node states violate, with an explanation, or ""."""
        numbers = tuple(map(self._projection_number, self._projections, count(), node_states))
        violation = self._judged.get(numbers)
        if violation is None:
            projections = [self._projection(at, number) for at, number in enumerate(node_states)]
            replies, ended = projections[self.space.home].replies, all(projection.ended for projection in projections)
            violation = self._invariants.violated([projection.view for projection in projections], replies, ended)
            self._judged[numbers] = violation
        return violation

    def liveness_violation(self, node_states: NodeStates) -> str:
        """Return the transactions that can never end from these node states, with an explanation, or ""."""
        if self._liveness.ends(self.space.node_state(at, number) for at, number in enumerate(node_states)):
            return ""
        left = "; ".join(f"{node}: {', '.join(txns)}" for node, txns in self.space.unfinished(node_states).items())
        return f"{UNFINISHED}: without further faults, and without the messages in flight, it never ends ({left})"

    def successors(self, state: State) -> Iterator[tuple[Transition, State]]:
        """Yield every step and the state after it, with no reduction."""
        for move in self._all.of(state.node_states, state.packets):
            after = state.after(move)
            if after.crashes <= self.bounds.crashes and after != state:
                yield move.step, after

    # ------------------------------------------------------------ inside

    def _first_unfinished(self, first: BreadthFirst, time_budget: TimeBudget, progress: Progress) -> int | None:
        """Return the number of the first state from which a transaction cannot end, or None.

        The last states are judged first: most lie near an end, and the search from an earlier state stops at a judged
        one.
        """
        earliest = None
        for judged, (node_states, at) in enumerate(reversed(first.node_states().items())):
            if judged % LOOK_EVERY == 0:
                progress(len(first.states), first.depth)
                if time_budget.is_exceeded():
                    first.limit = "seconds" if earliest is None else ""
                    break
            if self.liveness_violation(node_states):
                earliest = at
        return earliest

    def _explain(
        self, result: SearchResult, first: BreadthFirst, violating: int, time_budget: TimeBudget, progress: Progress
    ) -> None:
        """Add the violation and the shortest path to it to the result."""
        node_states, result.path = first.states[violating].node_states, first.steps(violating)
        goal = self.safety_violation if self.safety_violation(node_states) else self.liveness_violation
        result.shortest = True
        if self._reductions.eager_sends:
            nearest = Nearest(self.space, self.bounds, goal, time_budget, progress)
            node_states, result.path, result.shortest = nearest.find(first.path(violating))
            result.states += nearest.states
        result.violation = goal(node_states)
        result.seconds = time_budget.elapsed()

    def _projection_number(self, known: dict[int, int], at: int, number: int) -> int:
        """Return the number of a node state's projection: the states of one vector of numbers are judged once."""
        projection = known.get(number)
        if projection is None:
            projection = known[number] = self._projection_numbers.setdefault(
                self._projection(at, number), len(self._projection_numbers)
            )
        return projection

    def _projection(self, at: int, number: int) -> _Projection:
        """Return the projection of a node state."""
        node_state = self.space.node_state(at, number)
        replies = node_state.clients.replies if node_state.clients is not None else ()
        return _Projection(
            self._invariants.view(node_state.local.tables), replies, not self.space.unfinished_at(at, number)
        )
