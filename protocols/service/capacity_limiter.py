"""So many at a time, the others in line. Unlike asyncio's semaphore it can be entered without waiting, and so without a task."""

import asyncio
from collections import deque


class CapacityLimiter:
    """``width`` may be inside at once; it may change at any time."""

    __slots__ = ("inside", "line", "width")

    def __init__(self, width: int) -> None:
        self.width = width
        self.inside = 0
        self.line: deque[asyncio.Future[None]] = deque()

    def enter_at_once(self) -> bool:
        """Whether there was room, and nobody in line for it."""
        if self.inside >= self.width or self.line:
            return False
        self.inside += 1
        return True

    async def enter(self) -> None:
        if self.enter_at_once():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # it was our turn already
            raise

    def leave(self) -> None:
        self.inside -= 1
        self._let_in()

    def widen(self, width: int) -> None:
        self.width = width
        self._let_in()

    def _let_in(self) -> None:
        while self.line and self.inside < self.width:
            turn = self.line.popleft()
            if not turn.done():
                self.inside += 1
                turn.set_result(None)
