"""Transactions that lost the same lock retry one after another. This is a courtesy, never a safeguard.

Without it all losers of a lock would retry at once, and all but one of them would lose again.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from protocols.outcomes import Decision, Outcome
from protocols.service.capacity_limiter import CapacityLimiter

MOST_AT_A_TIME = 64


@dataclass(slots=True)
class Slot:
    """A retry that is under way. `outcome` is set before the slot is left; None if there is no outcome."""

    outcome: Outcome | None = None


class _KeyLimiter(CapacityLimiter):
    """The limiter of one key: a single retry while retries take the lock, twice as many after each refusal.

    A refused retry (no stock, no credit) never held the lock for long, so serial retries would only delay the same answer.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(1)

    def leave(self, refused: bool) -> None:
        self.capacity = min(2 * self.capacity, MOST_AT_A_TIME) if refused else 1
        self.release()


class KeyedAdmission:
    """A limiter for each key whose lock a transaction of this process lost."""

    def __init__(self) -> None:
        self._limiters: dict[str, _KeyLimiter] = {}

    @contextlib.asynccontextmanager
    async def slot(self, keys: Iterable[str]) -> AsyncIterator[Slot]:
        """Wait for admission at every one of `keys`; they are acquired in sorted order, so no two retries wait in a circle."""
        slot = Slot()
        acquired: list[str] = []
        try:
            for key in sorted(keys):
                await self._limiters.setdefault(key, _KeyLimiter()).acquire()
                acquired.append(key)
            yield slot
        finally:
            refused = slot.outcome is not None and slot.outcome.decision is Decision.REFUSED
            for key in acquired:
                self._leave(key, refused)

    def _leave(self, key: str, refused: bool) -> None:
        limiter = self._limiters[key]
        limiter.leave(refused)
        if not limiter.in_use and not limiter.waiters:
            del self._limiters[key]
