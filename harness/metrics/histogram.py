"""Counts of values over a high dynamic range with a bounded relative error, after HdrHistogram (Tene, 2012).

Values below 2048 have a bucket each; above, each doubling of the range has 1024 buckets of equal width. The relative error
of a value is therefore at most 1 in 1024, from a microsecond to an hour, and the sum of two histograms is exact.
"""

import math
from collections.abc import Iterable, Iterator

HALF_BITS = 10
EXACT = 1 << (HALF_BITS + 1)


class Histogram:
    """A histogram of whole numbers from 0 up, such as latencies in microseconds."""

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._counts: dict[int, int] = {}
        self.total = 0
        self.sum = 0
        for value in values:
            self.record(value)

    @classmethod
    def of(cls, buckets: Iterable[tuple[int, int]]) -> "Histogram":
        """Build the histogram from `buckets`; its mean is that of the largest value of each bucket."""
        made = cls()
        for value, count in buckets:
            made.record(value, count)
        return made

    def record(self, value: int, count: int = 1) -> None:
        """Count `value` so many times. Raises `ValueError` for a negative one."""
        if value < 0:
            raise ValueError(f"a histogram counts no negative value: {value}")
        index = _index(value)
        self._counts[index] = self._counts.get(index, 0) + count
        self.total += count
        self.sum += value * count

    def add(self, other: "Histogram") -> None:
        """Add the counts of another histogram."""
        for index, count in other._counts.items():  # noqa: SLF001  its own kind
            self._counts[index] = self._counts.get(index, 0) + count
        self.total += other.total
        self.sum += other.sum

    def quantile(self, q: float) -> int | None:
        """Return the quantile `q` (0 to 1), as the largest value of its bucket; None if the histogram is empty.

        The quantile is the smallest counted value with at least a share `q` of all values at or below it.
        """
        if not self.total:
            return None
        # The rank is rounded up: the 99th percentile of 150 values is the 149th (148.5), and not the 148th, at or below which
        # only 98.7 % lie. Rank 0 does not exist, so the quantile 0 is the smallest value.
        rank = max(1, math.ceil(q * self.total))
        passed = 0
        for index in sorted(self._counts):
            passed += self._counts[index]
            if passed >= rank:
                # The upper end of the bucket: a latency limit is then never met by rounding.
                return _highest(index)
        raise AssertionError("a share of at most 1 is always reached")

    def mean(self) -> float | None:
        """Return the mean; None if the histogram is empty."""
        return self.sum / self.total if self.total else None

    def buckets(self) -> Iterator[tuple[int, int]]:
        """Yield (largest value, count) of each bucket that is not empty, in ascending order."""
        for index in sorted(self._counts):
            yield _highest(index), self._counts[index]


def _index(value: int) -> int:
    """Return the bucket of a value."""
    if value < EXACT:
        return value
    # The value keeps its 11 leading bits, of which the first is always 1: each shift has 1024 buckets of 2**shift values.
    shift = value.bit_length() - HALF_BITS - 1
    return (shift << HALF_BITS) + (value >> shift)


def _highest(index: int) -> int:
    """Return the largest value of a bucket, the inverse of `_index`."""
    if index < EXACT:
        return index
    shift = (index >> HALF_BITS) - 1
    return ((index - (shift << HALF_BITS) + 1) << shift) - 1
