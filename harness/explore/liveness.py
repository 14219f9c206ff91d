"""Liveness: from every state, once faults end, every transaction ends.

What was under way is lost together with the faults: the judgement starts without a single packet, so nothing ends that
relies on a message which nobody would repeat. From then on nothing crashes, nobody new begins, and nobody gives up: no
deadline fires, and an inquiry about an undecided transaction finds it pending for as long as its owner has it in memory. Whoever
waits for ever is found waiting. Every step that is left is one which must happen in the end (a node that is up works off its
messages and its timers), so it is enough that some way leads to the end from wherever the nodes may be: whatever else happens
on the way leads to places of which the same is known.

Only the places matter. More packets would only make more possible, so this also speaks for every state that had some.
"""

from collections.abc import Iterable

from harness.explore.moves import Moves
from harness.explore.space import NodeState, Space

NodeStates = tuple[int, ...]


class Liveness:
    """Remembers from which places the end is reached and from which it is not."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._moves = Moves(space, faultless=True)
        self._ends: dict[NodeStates, bool] = {}

    def ends(self, nodes: Iterable[NodeState]) -> bool:
        """Whether some faultless way leads from here to where nothing is unfinished."""
        start = self._node_states(nodes)
        if start not in self._ends:
            seen = self._search(start)
            # None of those on the way to nowhere reached an end with more packets than it has by itself.
            self._ends.update(dict.fromkeys(seen, False) if seen else {start: True})
        return self._ends[start]

    def _search(self, start: NodeStates) -> set[NodeStates]:
        """Nothing if the end was reached, else the places that were seen."""
        first = (start, self._moves.sent(start, 0))
        seen, waiting = {first}, [first]
        for node_states, packets in waiting:
            if self._ends.get(node_states) or not self._space.unfinished(node_states):
                return set()
            for move in self._moves.of(node_states, packets):
                then = (*node_states[: move.at], move.node_state, *node_states[move.at + 1 :])
                after = (then, self._moves.sent(then, packets | move.packets))
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return {node_states for node_states, _ in seen}

    def _node_states(self, nodes: Iterable[NodeState]) -> NodeStates:
        """The same places for this space, without clients: nobody begins any more."""
        return tuple(self._space.number(at, node._replace(clients=None)) for at, node in enumerate(nodes))
