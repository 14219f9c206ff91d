"""The pauses between attempts, for every loop in this project that tries again."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a light module: the command line's start must not wait for it
    from random import Random


class Backoff:
    """Pauses in milliseconds: the first, then each twice as long as the one before, up to `most_ms`.

    With `rng` a pause is spread evenly between half and one and a half times its length, so that callers which failed
    together do not come back together ("full jitter" would also allow a pause of almost nothing, which the first retry of a
    lost lock cannot use).
    """

    __slots__ = ("_first_ms", "_most_ms", "_rng", "pause_ms")

    def __init__(self, first_ms: float, most_ms: float, rng: "Random | None" = None) -> None:
        self._first_ms = first_ms
        self._most_ms = most_ms
        self._rng = rng
        self.pause_ms = first_ms
        """The next pause, not spread: a caller with a time limit checks this against it."""

    def next_ms(self) -> float:
        """Return the pause to make now, and lengthen the next one."""
        pause_ms = self.pause_ms
        self.pause_ms = min(2 * pause_ms, self._most_ms)
        return pause_ms if self._rng is None else pause_ms * (0.5 + self._rng.random())

    def next_s(self) -> float:
        """Return the same in seconds, for `asyncio.sleep` and `time.sleep`."""
        return self.next_ms() / 1000

    def reset(self) -> None:
        """Begin with the first pause again: an attempt has succeeded."""
        self.pause_ms = self._first_ms
