"""Who lost a lock tries again one after the other: only a courtesy, never a safeguard.

Without it everybody who lost would try again at once, and all but one lose again.
"""

import contextlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from protocols.core import Outcome, Verdict
from protocols.service.capacity_limiter import CapacityLimiter

WIDEST = 64


class _KeyLimiter(CapacityLimiter):
    """Lets one through at a time while locks are being taken, ever more while everybody is refused anyway."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(1)

    def turn(self, refused: bool) -> None:
        """Somebody has come out at the other side."""
        self.width = min(2 * self.width, WIDEST) if refused else 1
        self.leave()


@dataclass(slots=True)
class Slot:
    """``outcome`` is what came of it; set it before leaving."""

    outcome: Outcome | None = None


class KeyedAdmission:
    """One turnstile for each key that somebody of this process lost. Several are taken in sorted order: no circle."""

    def __init__(self) -> None:
        self._at: dict[str, _KeyLimiter] = {}

    @contextlib.asynccontextmanager
    async def through(self, keys: Iterable[str]) -> AsyncIterator[Slot]:
        passage = Slot()
        entered: list[str] = []
        try:
            for key in sorted(keys):
                await self._at.setdefault(key, _KeyLimiter()).enter()
                entered.append(key)
            yield passage
        finally:
            refused = passage.outcome is not None and passage.outcome.verdict is Verdict.REFUSED
            for key in entered:
                self._leave(key, refused)

    def _leave(self, key: str, refused: bool) -> None:
        turnstile = self._at[key]
        turnstile.turn(refused)
        if not turnstile.inside and not turnstile.line:
            del self._at[key]
