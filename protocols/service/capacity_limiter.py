"""A limit on how many holders there are at a time; the others wait in order of arrival.

`asyncio.Semaphore` can only be acquired by a coroutine. Most checkouts find free capacity, and a task of its own for each of
them costs more than the check (`docs/performance.md`), so this limiter can also be acquired from a plain function.
"""

import asyncio
from collections import deque


class CapacityLimiter:
    """At most `capacity` holders at a time. The capacity may change at any time; a smaller one takes nothing from a holder.

    `in_use` counts the holders, `waiters` are the acquirers in line, oldest first.
    """

    __slots__ = ("capacity", "in_use", "waiters")

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.in_use = 0
        self.waiters: deque[asyncio.Future[None]] = deque()

    def try_acquire(self) -> bool:
        """Acquire without waiting; return whether there was free capacity and an empty line."""
        if self.in_use >= self.capacity or self.waiters:
            return False
        self.in_use += 1
        return True

    async def acquire(self) -> None:
        """Acquire, in order of arrival. A cancelled acquirer holds nothing."""
        if self.try_acquire():
            return
        admitted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiters.append(admitted)
        try:
            await admitted
        except asyncio.CancelledError:
            # The cancellation may arrive in the loop turn after `_admit` counted this waiter as a holder: without the release
            # that capacity would be lost for good.
            if admitted.done() and not admitted.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """Return capacity that was acquired, and admit the next waiter."""
        self.in_use -= 1
        self._admit()

    def resize(self, capacity: int) -> None:
        """Change the capacity, and admit the waiters that now fit."""
        self.capacity = capacity
        self._admit()

    def _admit(self) -> None:
        while self.waiters and self.in_use < self.capacity:
            admitted = self.waiters.popleft()
            if not admitted.done():
                self.in_use += 1
                admitted.set_result(None)
