"""Subset sums with a bound on the work: the possible totals of some amounts, and a subset for one total.

The problem is NP-complete in general (Karp, "Reducibility among combinatorial problems", 1972). The amounts of shops
are easier: they repeat, are small, or are powers of two. Each of these cases is exact and cheap; every other one is
exact up to a bound, and reports itself as inexact beyond it.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

EXACT_SUMS = 1 << 12
"""The largest number of different sums that are enumerated."""

BITMAP_BITS = 1 << 20
"""The largest sum of all amounts for which the possible sums are the bits of one integer."""

BITMAP_WORK = 1 << 31
"""The largest number of bits to shift for that integer: a tenth of a second."""


class Slack:
    """The possible sums of `amounts` if any subset of them may have been applied.

    `exact` is false if there are too many: then only the bounds `low` and `high` are known.
    """

    def __init__(self, amounts: Iterable[int]) -> None:
        # Negative amounts are mirrored: to apply one is to leave out its absolute value from the sum of all, counted from `low`.
        # So one search over positive numbers is enough.
        known = [amount for amount in amounts if amount]
        self.low = sum(amount for amount in known if amount < 0)
        self.high = sum(amount for amount in known if amount > 0)
        self._counts = Counter(map(abs, known))
        self._sums = _enumerated(self._counts)
        self._bitmap = _bitmap(self._counts) if self._sums is None else None
        self._chain = self._sums is None and self._bitmap is None and _divides(self._counts)
        self.exact = self._sums is not None or self._bitmap is not None or self._chain

    def off(self, surplus: int) -> int:
        """Return the distance, with its sign, of `surplus` from the nearest possible sum; 0 if `surplus` is possible,
        or may be.
        """
        wanted = surplus - self.low  # as a sum of absolute amounts
        if self._sums is not None:
            return wanted - _nearest(self._sums, wanted)
        inside = max(0, min(wanted, self.high - self.low))
        if self._bitmap is not None:
            return wanted - _nearest_bit(self._bitmap, inside)
        # Among amounts that divide each other, the greedy choice of the largest leaves the least rest. The sums are symmetric:
        # the least rest of what is left out of all amounts is the distance from the next larger sum.
        if self._chain:
            below, above = _greedy(self._counts, inside), _greedy(self._counts, self.high - self.low - inside)
            return wanted - inside + (below if below < above else -above)
        return wanted - inside


def _enumerated(counts: Counter[int]) -> list[int] | None:
    """Return every possible sum in order, or None if there are more than `EXACT_SUMS`."""
    sums = {0}
    for amount, count in counts.items():
        # Sums may coincide, so a larger product can still give few sums, up to a factor that bounds the work.
        if count * len(sums) > 4 * EXACT_SUMS:
            return None
        sums = {total + amount * times for total in sums for times in range(count + 1)}
        if len(sums) > EXACT_SUMS:
            return None
    return sorted(sums)


def _bitmap(counts: Counter[int]) -> int | None:
    """Return an integer whose bit k is set if k is a possible sum (Bellman's dynamic program, all sums at once), or
    None.
    """
    span = sum(amount * count for amount, count in counts.items())
    parts = sum(count.bit_length() for count in counts.values())
    if span > BITMAP_BITS or span * parts > BITMAP_WORK:
        return None
    bits = 1
    for amount, count in counts.items():
        for times in _binary_parts(count):
            bits |= bits << amount * times  # with and without this amount
    return bits


def _binary_parts(count: int) -> Iterable[int]:
    """Yield 1, 2, 4, ..., rest: each number up to `count`, and no larger one, is the sum of a subset of these.

    So `count` equal amounts cost log(count) steps and not `count` (binary splitting of the bounded knapsack problem).
    """
    part = 1
    while part <= count:
        yield part
        count -= part
        part *= 2
    if count:
        yield count


def _divides(counts: Counter[int]) -> bool:
    """Whether each amount divides the next larger one: the greedy choice of the largest is then exact."""
    return all(larger % smaller == 0 for smaller, larger in pairwise(sorted(counts)))


def _greedy(counts: Counter[int], wanted: int) -> int:
    """Return the rest of `wanted` after a greedy choice of the largest amounts."""
    for amount in sorted(counts, reverse=True):
        wanted -= min(counts[amount], wanted // amount) * amount
    return wanted


def _nearest(ordered: Sequence[int], wanted: int) -> int:
    """Return the number of a sorted sequence nearest to `wanted`, of two the larger."""
    at = bisect_left(ordered, wanted)
    return min(ordered[max(0, at - 1) : at + 1], key=lambda total: (abs(wanted - total), -total))


def _nearest_bit(bits: int, wanted: int) -> int:
    """Return the set bit nearest to `wanted`, of two the higher: the highest one below, and the lowest one (`rest &
    -rest`) above.
    """
    below = (bits & ((1 << wanted + 1) - 1)).bit_length() - 1
    rest = bits >> wanted
    above = wanted + (rest & -rest).bit_length() - 1
    return below if wanted - below < above - wanted else above


def subset(amounts: Sequence[int], target: int) -> tuple[list[int], bool]:
    """Return (positions of amounts that add up to `target`, whether all subsets were tried).

    The positions are empty without such a subset, or if the bound ended the search. The first amounts are preferred.
    Equal amounts are taken together, so many purchases of one piece of an item are one division. Takes at most about
    `EXACT_SUMS` steps for each different amount and each bit of its count.
    """
    positions: dict[int, list[int]] = {}
    for position, amount in enumerate(amounts):
        if 0 < amount <= target:
            positions.setdefault(amount, []).append(position)
    previous: dict[int, tuple[int, int, int]] = {
        0: (0, 0, 0)
    }  # by total: the total before it, the amount and its count that lead from there
    for amount, where in positions.items():
        whole = _extend(previous, amount, len(where), target)
        if target in previous:
            return _traced(previous, positions, target), True
        if not whole:
            return [], False
    return [], True


def _extend(previous: dict[int, tuple[int, int, int]], amount: int, count: int, target: int) -> bool:
    """Add the totals that are up to `count` times `amount` above the known ones. Return False if there would be too
    many.

    The target is tried first by a division, so that the common answer, many equal amounts, needs no table of totals.
    """
    for total in list(previous):
        times, rest = divmod(target - total, amount)
        if not rest and times <= count:
            previous.setdefault(target, (total, amount, times))
            return True
    for part in _binary_parts(count):
        for total in list(previous):
            if total + amount * part <= target:
                previous.setdefault(total + amount * part, (total, amount, part))
        if len(previous) > EXACT_SUMS:
            return False
    return True


def _traced(previous: dict[int, tuple[int, int, int]], positions: dict[int, list[int]], total: int) -> list[int]:
    """Return the positions of the amounts on the way from 0 to `total`."""
    chosen: list[int] = []
    while total:
        total, amount, times = previous[total]
        chosen += positions[amount][:times]
        positions[amount] = positions[amount][times:]
    return sorted(chosen)
