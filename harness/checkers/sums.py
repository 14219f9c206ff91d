"""Subset sums with a bound on the work: which totals can some of these amounts add up to, and by which of them.

The problem is NP-complete in general (Karp, 1972). The histories of shops are kind: amounts repeat, are small, or are
powers of two. Each of these cases is exact and cheap; every other one is exact up to a bound, and says so beyond it.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

EXACT_SUMS = 1 << 12
"""Up to so many different sums are enumerated."""

BITMAP_BITS = 1 << 20
"""Up to this sum of all amounts, the possible sums are the bits of one integer."""

BITMAP_WORK = 1 << 31
"""Bits shifted to fill that integer, at most: a tenth of a second."""


class Slack:
    """The values that a sum of `amounts` can have if any subset of them may have been applied.

    `exact` is false if there are too many: then only the bounds `low` and `high` are known.
    """

    def __init__(self, amounts: Iterable[int]) -> None:
        known = [amount for amount in amounts if amount]
        self.low = sum(amount for amount in known if amount < 0)
        self.high = sum(amount for amount in known if amount > 0)
        self._counts = Counter(map(abs, known))
        self._sums = _enumerated(self._counts)
        self._bitmap = _bitmap(self._counts) if self._sums is None else None
        self._chain = self._sums is None and self._bitmap is None and _divides(self._counts)
        self.exact = self._sums is not None or self._bitmap is not None or self._chain

    def off(self, surplus: int) -> int:
        """Distance with its sign from the nearest possible sum to `surplus`; 0 if it is possible, or may be."""
        wanted = surplus - self.low  # a sum of absolute amounts: an amount below zero is applied, or was not
        if self._sums is not None:
            return wanted - _nearest(self._sums, wanted)
        inside = max(0, min(wanted, self.high - self.low))
        if self._bitmap is not None:
            return wanted - _nearest_bit(self._bitmap, inside)
        if self._chain:
            return wanted - inside + _greedy(self._counts, inside)
        return wanted - inside


def _enumerated(counts: Counter[int]) -> list[int] | None:
    """Every possible sum in order, or None if there are more than `EXACT_SUMS`."""
    sums = {0}
    for amount, count in counts.items():
        if count * len(sums) > 4 * EXACT_SUMS:
            return None
        sums = {total + amount * times for total in sums for times in range(count + 1)}
        if len(sums) > EXACT_SUMS:
            return None
    return sorted(sums)


def _bitmap(counts: Counter[int]) -> int | None:
    """An integer whose bit k says whether k is a possible sum. None if that is too much work."""
    span = sum(amount * count for amount, count in counts.items())
    parts = sum(count.bit_length() for count in counts.values())
    if span > BITMAP_BITS or span * parts > BITMAP_WORK:
        return None
    bits = 1
    for amount, count in counts.items():
        for times in _binary_parts(count):
            bits |= bits << amount * times
    return bits


def _binary_parts(count: int) -> Iterable[int]:
    """Numbers of which every count up to `count`, and no larger one, is a subset sum: 1, 2, 4, ..., rest."""
    part = 1
    while part <= count:
        yield part
        count -= part
        part *= 2
    if count:
        yield count


def _divides(counts: Counter[int]) -> bool:
    """Whether each amount divides the next larger one: taking the largest first is then exact."""
    return all(larger % smaller == 0 for smaller, larger in pairwise(sorted(counts)))


def _greedy(counts: Counter[int], wanted: int) -> int:
    """The rest of `wanted` that is left when the largest amounts are taken first."""
    for amount in sorted(counts, reverse=True):
        wanted -= min(counts[amount], wanted // amount) * amount
    return wanted


def _nearest(ordered: Sequence[int], wanted: int) -> int:
    at = bisect_left(ordered, wanted)
    return min(ordered[max(0, at - 1) : at + 1], key=lambda total: (abs(wanted - total), -total))


def _nearest_bit(bits: int, wanted: int) -> int:
    below = (bits & ((1 << wanted + 1) - 1)).bit_length() - 1
    rest = bits >> wanted
    above = wanted + (rest & -rest).bit_length() - 1
    return below if wanted - below < above - wanted else above


def subset(amounts: Sequence[int], target: int) -> tuple[list[int], bool]:
    """(positions of amounts that add up to `target`, whether all subsets were looked at).

    The positions are empty if there is none, or if it was too hard to say. The first amounts are preferred. Equal
    amounts are taken together, so one hot item bought a piece at a time is one division. Takes at most about
    `EXACT_SUMS` steps for each different amount and each bit of its count.
    """
    places: dict[int, list[int]] = {}
    for position, amount in enumerate(amounts):
        if 0 < amount <= target:
            places.setdefault(amount, []).append(position)
    came: dict[int, tuple[int, int, int]] = {
        0: (0, 0, 0)
    }  # by total: the total before it, and how many of which amount
    for amount, where in places.items():
        whole = _extend(came, amount, len(where), target)
        if target in came:
            return _traced(came, places, target), True
        if not whole:
            return [], False
    return [], True


def _extend(came: dict[int, tuple[int, int, int]], amount: int, count: int, target: int) -> bool:
    """Enter the totals that up to `count` times `amount` more give. False if there would be too many."""
    for total in list(came):
        times, rest = divmod(target - total, amount)
        if not rest and times <= count:
            came.setdefault(target, (total, amount, times))
            return True
    for part in _binary_parts(count):
        for total in list(came):
            if total + amount * part <= target:
                came.setdefault(total + amount * part, (total, amount, part))
        if len(came) > EXACT_SUMS:
            return False
    return True


def _traced(came: dict[int, tuple[int, int, int]], places: dict[int, list[int]], total: int) -> list[int]:
    found: list[int] = []
    while total:
        total, amount, times = came[total]
        found += places[amount][:times]
        places[amount] = places[amount][times:]
    return sorted(found)
