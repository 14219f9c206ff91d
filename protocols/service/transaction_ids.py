"""The names of one process's transactions, and the horizon below which they have all ended."""

from collections.abc import Iterable

from protocols.service.capacity_limiter import CapacityLimiter
from protocols.store.lives import FIRST, Point, horizon, prefix_of

MOST_UNENDED = 1_000
"""Transactions of a process that have not ended, including those whose client has its answer.

It bounds the work that waits for a service that is down.
"""


class TransactionIds:
    """Names `INSTANCE~LIFE.SEQUENCE` (`protocols.store.lives`). No name is given twice, not even after a crash.

    The order of calls: `capacity` is acquired, `begin` names a transaction, `end` releases the capacity. The capacity is 0
    until `enlist` brings the number of this life. `newest_life` is the highest life of this instance that the store has
    given out; above `life`, another process runs under this instance's name.
    """

    def __init__(self, instance: str) -> None:
        self.capacity = CapacityLimiter(0)
        self.instance = instance
        self.life = 0
        self.newest_life = 0
        self._next = 0
        self._running: dict[str, int] = {}  # name -> sequence, ascending: the order of their beginning
        self._unfinished: list[str] | None = None  # of former lives; None until the store's first answer

    def enlist(self, life: int, *, anew: bool = False) -> None:
        """Take the highest life of this instance, from the store: the first answer is this process's own, and one `anew`.

        What runs under the life before is then unfinished as that of any former life.
        """
        if not self.life:
            self.capacity.resize(MOST_UNENDED)
        if anew or not self.life:
            self.life, self._unfinished = life, None
        self.newest_life = life

    def set_unfinished(self, unfinished: Iterable[str]) -> None:
        """Take the names of all unfinished transactions in the store, listed after `enlist`."""
        own = f"{prefix_of(self.instance, self.life)}."
        self._unfinished = [txn for txn in unfinished if not txn.startswith(own)]

    def begin(self) -> tuple[str, Point]:
        """Return a new name, and the horizon below which all transactions of this instance have ended."""
        sequence = self._next
        self._next += 1
        txn = f"{prefix_of(self.instance, self.life)}.{sequence}"
        self._running[txn] = sequence
        if self._unfinished is None:
            return txn, FIRST
        oldest = next(iter(self._running.values()))
        return txn, horizon(self.instance, self.life, oldest, self._unfinished)

    def end(self, txn: str) -> None:
        """Release the capacity of a transaction that this process began; ignore every other name, and a second call."""
        if self._running.pop(txn, None) is not None:
            self.capacity.release()
