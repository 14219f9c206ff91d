"""Liveness: from every state, once faults end, every transaction ends.

The messages in flight are lost with the last fault: the judgement starts without a packet, so a transaction that
relies on a message without a retry does not end. From then on there is no crash, no new transaction and no deadline,
and an inquiry finds an undecided transaction pending for as long as its coordinator has it in memory. Two
transactions that wait for each other for ever are found, and no deadline hides them.

The search shows that an end is reachable from every state, AG EF of CTL (Clarke, Emerson and Sistla, "Automatic
verification of finite-state concurrent systems using temporal logic specifications", TOPLAS 8(2), 1986). That implies
termination: the moves that remain are receipts, timers and sweeps, each of which happens eventually where it stays
possible, and a fair run of a finite space cannot pass by a reachable end for ever.

Only the node states count. More packets only make more moves possible, so the result also holds for every state with
packets.
"""

from collections.abc import Iterable

from harness.explore.moves import Moves
from harness.explore.space import NodeState, Space

NodeStates = tuple[int, ...]


class Liveness:
    """A memory of the node states from which every transaction can end, and of those from which one cannot."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._moves = Moves(space, faultless=True)
        self._ends: dict[NodeStates, bool] = {}

    def ends(self, nodes: Iterable[NodeState]) -> bool:
        """Whether a path without faults leads from these node states to a state without an unfinished transaction."""
        start = self._node_states(nodes)
        if start not in self._ends:
            seen = self._search(start)
            # A failed search proves its whole set: each of its states was tried with at least as many packets as a search of
            # its own would start with. A successful one proves only the start, since other states may lie beside the path.
            self._ends.update(dict.fromkeys(seen, False) if seen else {start: True})
        return self._ends[start]

    def _search(self, start: NodeStates) -> set[NodeStates]:
        """Return an empty set if an end is reachable, else all node states that were visited."""
        if self._space.ended(start):
            return set()
        first = (start, self._moves.sent(start, 0))
        seen, waiting = {first}, [first]
        for node_states, packets in waiting:
            for move in self._moves.of(node_states, packets):
                then = (*node_states[: move.at], move.node_state, *node_states[move.at + 1 :])
                # At once, and not when its turn comes: most searches end one move from a judged state.
                if self._ends.get(then) or self._space.ended(then):
                    return set()
                after = (then, self._moves.sent(then, packets | move.packets, packets, move.at))
                if after not in seen:
                    seen.add(after)
                    waiting.append(after)
        return {node_states for node_states, _ in seen}

    def _node_states(self, nodes: Iterable[NodeState]) -> NodeStates:
        """Return the numbers of the states in this space without their clients: no new transaction begins."""
        return tuple(self._space.number(at, node._replace(clients=None)) for at, node in enumerate(nodes))
