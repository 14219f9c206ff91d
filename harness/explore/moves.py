"""The moves that a search has to try, and why it may leave out the others.

Write a state as (places, packets, crashes). Packets are never taken from the network and nothing waits for the absence of one.
So a state can do, step by step, whatever a state with the same places, no packet more and no crash fewer behind it can do: it
*covers* it. And what must hold is a matter of the places alone. Two instances of a service on one store are in one place, so
nothing passes between places but packets. Three reductions follow. Each can be switched off, and
``tests/explore/test_reductions.py`` compares verdicts, lengths and places.

- ``covered``: a state that is covered by one which was found in no more steps leads to nothing new, and to nothing sooner.
- ``eager``: what a node can send without a change of its own and without a crash is sent at once, because the state with those
  packets covers the one without. This merges all states that differ only in who has sent already what it can send at
  any time. Sending takes steps of its own, though, so the search for the shortest way (``shortest.py``) goes without.
- ``ways``: of the ways in which one event can go, the covered ones are left out, most of them crashes at neighbouring failpoints.
  And a crash between two events leaves what a crash at the end of the node's last event leaves: what other nodes did in between
  they could as well have done afterwards, since neither sees the other. So it is not tried on its own. It holds for a second
  instance on the same store as well: a crash between two events takes only memory, which the other does not see.

What they are worth, two orders for one item with 2 participants and 1 crash, in seconds of one core: all three 22
thousand states in 1.2; without ``covered`` 28 thousand in 1.3, without ``ways`` 25 thousand in 2.3, without ``eager``
378 thousand in 16.

They follow the theory of well-structured transition systems (Finkel and Schnoebelen, "Well-structured transition
systems everywhere!", TCS 256, 2001). They say nothing about liveness, which is judged without any packet at all
(``ending.py``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from harness.explore.space import Move, Space


@dataclass(frozen=True, slots=True)
class Reductions:
    covered_moves: bool = True
    covered_states: bool = True
    eager_sends: bool = True


ALL = Reductions()
SHORTEST = Reductions(eager_sends=False)
NONE = Reductions(covered_moves=False, covered_states=False, eager_sends=False)


class Moves:
    """The moves of a space. ``faultless``: only those that are neither crashes nor somebody's running out of patience."""

    def __init__(self, space: Space, reductions: Reductions = ALL, *, faultless: bool = False) -> None:
        self._space = space
        self._reductions = reductions
        self._faultless = faultless
        self._by_node_state: tuple[dict[int, _NodeMoves], ...] = tuple({} for _ in space.nodes)

    def of(self, node_states: tuple[int, ...], packets: int) -> Iterator[Move]:
        """Every move that has to be tried in a state."""
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
        spot = self._by_node_state[at].get(node_state)
        if spot is None:
            spot = self._by_node_state[at][node_state] = _NodeMoves(
                self._space, self._reductions, self._faultless, at, node_state
            )
        return spot


class _NodeMoves:
    """What can happen to one node in one place, for each set of packets that waits for it."""

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
        """What has to be tried."""
        found = self._moves.get(packets)
        if found is None:
            found = self._own.moves + tuple(move for one in self._delivered(packets) for move in one.moves)
            self._moves[packets] = found
        return found

    def sends(self, packets: int) -> int:
        """What is sent at once."""
        found = self._sends.get(packets)
        if found is None:
            found = self._own.sends
            for one in self._delivered(packets):
                found |= one.sends
            self._sends[packets] = found
        return found

    def _delivered(self, packets: int) -> Iterator["_Options"]:
        while packets:
            lowest = packets & -packets
            packets ^= lowest
            found = self._deliveries.get(lowest)
            if found is None:
                moves = self._space.deliveries(self._at, self._node_state, lowest.bit_length() - 1)
                found = self._deliveries[lowest] = self._options(moves)
            yield found

    def _options(self, moves: Iterable[Move]) -> "_Options":
        """``sends`` is what goes without a change of place and without a crash, if that goes at once."""
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
    moves: tuple[Move, ...]
    sends: int


def _uncovered(moves: Iterable[Move], node_state: int, sends: int) -> list[Move]:
    """Those that no other covers. To stay in ``place`` and send no more than ``sends`` is to do nothing."""
    kept: list[Move] = []
    for move in moves:
        idle = move.node_state == node_state and not move.packets & ~sends
        if not idle and not any(_covers(other, move) for other in kept):
            kept = [*(other for other in kept if not _covers(move, other)), move]
    return kept


def _covers(move: Move, other: Move) -> bool:
    return move.node_state == other.node_state and move.crashes <= other.crashes and not other.packets & ~move.packets
