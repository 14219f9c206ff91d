"""The moves that a search has to try, and the proof that it may leave out the others.

A state is (node states, packets, crashes). Packets are never removed from the network, and no step depends on the absence of one.
So a state can take, step by step, every path of another state with the same node states, no packet more and no crash fewer: it
*covers* that state. The invariants depend on the node states alone, and nodes share nothing but packets, since two instances of
a service on one store are one node. Steps of different nodes are therefore independent in the sense of Godefroid
("Partial-Order Methods for the Verification of Concurrent Systems", LNCS 1032, 1996): they commute, and none disables another.
Three reductions follow. Each can be switched off, and ``tests/explore/test_reductions.py`` compares verdicts, lengths and node
states.

- ``covered_states``: a state that an earlier state covers is left out. That state was found in no more steps, so its successors
  cover those of the later one, and are found no later.
- ``eager_sends``: a packet that a node can send without a change of its own state and without a crash is sent at once,
  because the state with the packet covers the state without it. This merges states that differ only in sends which are
  possible at any time. Sends take steps of their own, though, so the search for the shortest path (``shortest.py``) goes without.
- ``covered_moves``: of the executions of one event the covered ones are left out, most of them crashes at
  neighbouring failpoints. A crash between two events leaves the same state as a crash at the end of the node's last
  event: steps of other nodes in between commute with it. So it is not tried on its own. This also holds for a second
  instance on the same store: a crash between two events loses only memory, which the other instance does not see.

Their effect on two orders for one item with 2 participants and 1 crash, in seconds of one core: all three 22 thousand
states in 1.2; without ``covered_states`` 28 thousand in 1.3, without ``covered_moves`` 25 thousand in 2.3, without
``eager_sends`` 378 thousand in 16.

The covering relation is that of well-structured transition systems (Finkel and Schnoebelen, "Well-structured
transition systems everywhere!", TCS 256, 2001). These proofs are about safety; liveness has an argument of its own,
from states without a packet (``liveness.py``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from harness.explore.space import Move, Space


@dataclass(frozen=True, slots=True)
class Reductions:
    """The reductions in use, see the head of this file."""

    covered_moves: bool = True
    covered_states: bool = True
    eager_sends: bool = True


ALL = Reductions()
SHORTEST = Reductions(eager_sends=False)
NONE = Reductions(covered_moves=False, covered_states=False, eager_sends=False)


class Moves:
    """The moves of a space. ``faultless``: without crashes and deadlines."""

    def __init__(self, space: Space, reductions: Reductions = ALL, *, faultless: bool = False) -> None:
        self._space = space
        self._reductions = reductions
        self._faultless = faultless
        self._by_node_state: tuple[dict[int, _NodeMoves], ...] = tuple({} for _ in space.nodes)

    def of(self, node_states: tuple[int, ...], packets: int) -> Iterator[Move]:
        """Yield every move that has to be tried in a state."""
        for at in range(len(node_states)):
            yield from self.at(at, node_states, packets)

    def at(self, at: int, node_states: tuple[int, ...], packets: int) -> tuple[Move, ...]:
        """Return the moves of node number ``at``."""
        return self._node_moves(at, node_states[at]).moves(packets & self._space.addressed[at])

    def sent(self, node_states: tuple[int, ...], packets: int, known: int = 0, moved: int | None = None) -> int:
        """Return these packets and all that the nodes send at once.

        ``known`` are the packets before node number ``moved`` did: the other nodes have sent already what they send at
        once for those, so only new packets are delivered to them. ``None`` for no node yet.
        """
        if not self._reductions.eager_sends:
            return packets
        for at in range(len(node_states)) if moved is None else (moved,):
            packets |= self._node_moves(at, node_states[at]).sends(packets & self._space.addressed[at])
        while new := packets & ~known:
            known = packets
            for at, node_state in enumerate(node_states):
                received = new & self._space.addressed[at]
                if received:
                    packets |= self._node_moves(at, node_state).sends(received)
        return packets

    def _node_moves(self, at: int, node_state: int) -> "_NodeMoves":
        moves = self._by_node_state[at].get(node_state)
        if moves is None:
            moves = self._by_node_state[at][node_state] = _NodeMoves(
                self._space, self._reductions, self._faultless, at, node_state
            )
        return moves


class _NodeMoves:
    """The moves of one node in one state, for each set of packets addressed to it. Computed once and kept."""

    def __init__(self, space: Space, reductions: Reductions, faultless: bool, at: int, node_state: int) -> None:
        self._space = space
        self._reductions = reductions
        self._faultless = faultless
        self._at = at
        self._node_state = node_state
        own = list(space.own_moves(at, node_state))
        if not reductions.covered_moves:
            own += space.crashes(at, node_state)
        self._own = self._options(own)
        self._deliveries: dict[int, _Options] = {}
        self._moves: dict[int, tuple[Move, ...]] = {}
        self._sends: dict[int, int] = {}

    def moves(self, packets: int) -> tuple[Move, ...]:
        """Return the moves that have to be tried with these packets."""
        moves = self._moves.get(packets)
        if moves is None:
            moves = self._own.moves + tuple(move for options in self._delivered(packets) for move in options.moves)
            self._moves[packets] = moves
        return moves

    def sends(self, packets: int) -> int:
        """Return the packets that the node sends at once with these packets."""
        sends = self._sends.get(packets)
        if sends is None:
            sends = self._own.sends
            for options in self._delivered(packets):
                sends |= options.sends
            self._sends[packets] = sends
        return sends

    def _delivered(self, packets: int) -> Iterator["_Options"]:
        """Yield the options of each packet in the mask."""
        while packets:
            lowest = packets & -packets
            packets ^= lowest
            options = self._deliveries.get(lowest)
            if options is None:
                moves = self._space.deliveries(self._at, self._node_state, lowest.bit_length() - 1)
                options = self._deliveries[lowest] = self._options(moves)
            yield options

    def _options(self, moves: Iterable[Move]) -> "_Options":
        """Split moves into those to try and the packets of moves without a change of state and without a crash."""
        if self._faultless:
            moves = [move for move in moves if not move.crashes and not move.step.is_deadline]
        sends = 0
        if self._reductions.eager_sends:
            moves = list(moves)
            for move in moves:
                if move.node_state == self._node_state and not move.crashes:
                    sends |= move.packets
        return _Options(
            tuple(_uncovered(moves, self._node_state, sends) if self._reductions.covered_moves else moves), sends
        )


class _Options(NamedTuple):
    """Moves to try, and packets that are sent at once."""

    moves: tuple[Move, ...]
    sends: int


def _uncovered(moves: Iterable[Move], node_state: int, sends: int) -> list[Move]:
    """Return the moves that no other one covers, without those that change nothing: no new state, and no packet
    beyond ``sends``.

    Of two moves that cover each other the first stays, so an execution without a crash wins over an equal one with a
    crash.
    """
    kept: list[Move] = []
    for move in moves:
        idle = move.node_state == node_state and not move.packets & ~sends
        if not idle and not any(_covers(other, move) for other in kept):
            kept = [*(other for other in kept if not _covers(move, other)), move]
    return kept


def _covers(move: Move, other: Move) -> bool:
    """Whether the state after ``move`` covers the state after ``other``, from any common state before."""
    return move.node_state == other.node_state and move.crashes <= other.crashes and not other.packets & ~move.packets
