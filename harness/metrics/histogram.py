"""Counts of values over a high dynamic range with a bounded relative error, after HdrHistogram (Tene, 2012).

Values below 2048 are counted one by one; above, each doubling of the range has 1024 buckets of equal width. So a value
is known to 1 part in 1024 whether it is a microsecond or an hour, and two histograms add up exactly.
"""

from collections.abc import Iterable, Iterator

HALF_BITS = 10
EXACT = 1 << (HALF_BITS + 1)


class Histogram:
    """Of whole numbers from 0 up; latencies here are in microseconds."""

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._counts: dict[int, int] = {}
        self.total = 0
        self.sum = 0
        for value in values:
            self.record(value)

    @classmethod
    def of(cls, buckets: Iterable[tuple[int, int]]) -> "Histogram":
        """The one that has these `buckets`; its mean is that of the largest values."""
        made = cls()
        for value, count in buckets:
            made.record(value, count)
        return made

    def record(self, value: int, count: int = 1) -> None:
        """Raises `ValueError` for a negative value."""
        if value < 0:
            raise ValueError(f"a histogram counts no negative value: {value}")
        index = _index(value)
        self._counts[index] = self._counts.get(index, 0) + count
        self.total += count
        self.sum += value * count

    def add(self, other: "Histogram") -> None:
        for index, count in other._counts.items():  # noqa: SLF001  its own kind
            self._counts[index] = self._counts.get(index, 0) + count
        self.total += other.total
        self.sum += other.sum

    def quantile(self, q: float) -> int | None:
        """The largest value that may stand in the bucket of the value below or at which a share `q` lies; None if empty."""
        if not self.total:
            return None
        wanted = max(1, -int(-q * self.total // 1))
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= wanted:
                return _highest(index)
        raise AssertionError("a share of at most 1 is always reached")

    def mean(self) -> float | None:
        return self.sum / self.total if self.total else None

    def buckets(self) -> Iterator[tuple[int, int]]:
        """(largest value, count) of each bucket that is not empty, in ascending order."""
        for index in sorted(self._counts):
            yield _highest(index), self._counts[index]


def _index(value: int) -> int:
    if value < EXACT:
        return value
    shift = value.bit_length() - HALF_BITS - 1
    return (shift << HALF_BITS) + (value >> shift)


def _highest(index: int) -> int:
    if index < EXACT:
        return index
    shift = (index >> HALF_BITS) - 1
    return ((index - (shift << HALF_BITS) + 1) << shift) - 1
