"""Who lost a lock tries again one after the other: only a courtesy, never a safeguard.

Without it everybody who lost would try again at once, and all but one lose again.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from protocols.core import Outcome, Verdict

WIDEST = 64


class _Turnstile:
    """Lets ``width`` through at a time: one while locks are being taken, ever more while everybody is refused anyway."""

    __slots__ = ("inside", "waiting", "width")

    def __init__(self) -> None:
        self.width = 1
        self.inside = 0
        self.waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> None:
        if self.inside < self.width and not self.waiting:
            self.inside += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(False)  # it was our turn already
            raise

    def leave(self, refused: bool) -> None:
        self.inside -= 1
        self.width = min(2 * self.width, WIDEST) if refused else 1
        while self.waiting and self.inside < self.width:
            turn = self.waiting.popleft()
            if not turn.done():
                self.inside += 1
                turn.set_result(None)


@dataclass(slots=True)
class Passage:
    """``outcome`` is what came of it; set it before leaving."""

    outcome: Outcome | None = None


class Turnstiles:
    """One turnstile for each key that somebody of this process lost. Several are taken in sorted order: no circle."""

    def __init__(self) -> None:
        self._at: dict[str, _Turnstile] = {}

    @contextlib.asynccontextmanager
    async def through(self, keys: Iterable[str]) -> AsyncIterator[Passage]:
        passage = Passage()
        entered: list[str] = []
        try:
            for key in sorted(keys):
                await self._at.setdefault(key, _Turnstile()).enter()
                entered.append(key)
            yield passage
        finally:
            refused = passage.outcome is not None and passage.outcome.verdict is Verdict.REFUSED
            for key in entered:
                self._leave(key, refused)

    def _leave(self, key: str, refused: bool) -> None:
        turnstile = self._at[key]
        turnstile.leave(refused)
        if not turnstile.inside and not turnstile.waiting:
            del self._at[key]
