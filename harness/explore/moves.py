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

What they are worth, two orders for one item with 2 participants and 1 crash, in seconds of one core: all three 22 thousand states
in 1.2; without ``covered`` 28 thousand in 1.3, without ``ways`` 25 thousand in 2.3, without ``eager`` 378 thousand in 16.

They follow the theory of well-structured transition systems (Finkel and Schnoebelen, "Well-structured transition systems
everywhere!", TCS 256, 2001). They say nothing about liveness, which is judged without any packet at all (``ending.py``).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from harness.explore.space import Move, Space


@dataclass(frozen=True, slots=True)
class Reductions:
    ways: bool = True
    covered: bool = True
    eager: bool = True


ALL = Reductions()
SHORTEST = Reductions(eager=False)
NONE = Reductions(ways=False, covered=False, eager=False)


class Moves:
    """The moves of a space. ``faultless``: only those that are neither crashes nor somebody's running out of patience."""

    def __init__(self, space: Space, reductions: Reductions = ALL, *, faultless: bool = False) -> None:
        self._space = space
        self._reductions = reductions
        self._faultless = faultless
        self._spots: tuple[dict[int, _Spot], ...] = tuple({} for _ in space.nodes)

    def of(self, places: tuple[int, ...], packets: int) -> Iterator[Move]:
        """Every move that has to be tried in a state."""
        for at, place in enumerate(places):
            yield from self._spot(at, place).moves(packets & self._space.addressed[at])

    def sent(self, places: tuple[int, ...], packets: int) -> int:
        """These packets, and all that is sent at once."""
        before = -1
        while self._reductions.eager and packets != before:
            before = packets
            for at, place in enumerate(places):
                packets |= self._spot(at, place).sends(packets & self._space.addressed[at])
        return packets

    def _spot(self, at: int, place: int) -> "_Spot":
        spot = self._spots[at].get(place)
        if spot is None:
            spot = self._spots[at][place] = _Spot(self._space, self._reductions, self._faultless, at, place)
        return spot


class _Spot:
    """What can happen to one node in one place, for each set of packets that waits for it."""

    def __init__(self, space: Space, reductions: Reductions, faultless: bool, at: int, place: int) -> None:
        self._space = space
        self._reductions = reductions
        self._faultless = faultless
        self._at = at
        self._place = place
        own = list(space.own_moves(at, place))
        if not reductions.ways:
            own += space.crashes(at, place)
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
                moves = self._space.deliveries(self._at, self._place, lowest.bit_length() - 1)
                found = self._deliveries[lowest] = self._options(moves)
            yield found

    def _options(self, moves: Iterable[Move]) -> "_Options":
        """``sends`` is what goes without a change of place and without a crash, if that goes at once."""
        if self._faultless:
            moves = [move for move in moves if not move.crashes and not move.step.gives_up]
        sends = 0
        if self._reductions.eager:
            moves = list(moves)
            for move in moves:
                if move.place == self._place and not move.crashes:
                    sends |= move.packets
        return _Options(tuple(_uncovered(moves, self._place, sends) if self._reductions.ways else moves), sends)


class _Options(NamedTuple):
    moves: tuple[Move, ...]
    sends: int


def _uncovered(moves: Iterable[Move], place: int, sends: int) -> list[Move]:
    """Those that no other covers. To stay in ``place`` and send no more than ``sends`` is to do nothing."""
    kept: list[Move] = []
    for move in moves:
        idle = move.place == place and not move.packets & ~sends
        if not idle and not any(_covers(other, move) for other in kept):
            kept = [*(other for other in kept if not _covers(move, other)), move]
    return kept


def _covers(move: Move, other: Move) -> bool:
    return move.place == other.place and move.crashes <= other.crashes and not other.packets & ~move.packets
