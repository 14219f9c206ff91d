"""The half of a store's client that every runtime shares: commands that wait for their results, in order.

The other half has the connection and detects its loss (`store.py`; the simulator has its own).
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from protocols.core import Command
from protocols.ports import Clock, StoreDown, StoreFault, StoreFull, StoreUnknown
from protocols.store.tables import Result

FULL_PAUSE_MS = 100.0


@dataclass(slots=True)
class Entry:
    """A command with the callbacks for its result. `now_ms` is the time of its submission; `again`: it may run twice.

    `sent`: it is on the present connection. `lost_copy`: it was on an earlier one, and may have been executed there.
    """

    command: Command
    now_ms: int
    then: Callable[[Result], None]
    lost: Callable[[Exception], None]
    again: bool
    sent: bool = False
    lost_copy: bool = False
    cancelled: bool = False


class StoreQueue(ABC):
    """A `Store`: entries in `_waiting` are not sent yet, entries in `_sent` are not answered yet.

    `limit_ms` bounds `call` and `once`. `generation` is that of the store (`protocols.store.lives`), 0 without generations.
    """

    generation = 0

    def __init__(self, clock: Clock, limit_ms: int) -> None:
        self._clock = clock
        self._limit_ms = limit_ms
        self._waiting: deque[Entry] = deque()
        self._sent: deque[Entry] = deque()

    @abstractmethod
    def _wake(self) -> None:
        """Send the waiting entries, now or soon, if there is a connection."""

    # ------------------------------------------------------------ the port

    def submit(
        self, command: Command, then: Callable[[Result], None], refused: Callable[[str], None] = lambda _: None
    ) -> None:
        def lost(error: Exception) -> None:
            # StoreFull first: it is a StoreDown, and passes as soon as there is memory. The protocol waits with its locks
            # held, so it must not become a refusal.
            if isinstance(error, StoreFull):
                self._clock.call_later(FULL_PAUSE_MS, lambda: self.submit(command, then, refused))
            elif isinstance(error, StoreFault):
                refused(str(error))

        self._enter(command, then, lost, again=True)

    async def call(self, command: Command) -> Result:
        return await self._await(command, again=True)

    async def once(self, command: Command) -> Result:
        return await self._await(command, again=False)

    async def _await(self, command: Command, again: bool) -> Result:
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def then(result: Result) -> None:
            if not answer.done():
                answer.set_result(result)

        def lost(error: Exception) -> None:
            if not answer.done():
                answer.set_exception(error)

        entry = self._enter(command, then, lost, again)
        limit = self._clock.call_later(self._limit_ms, lambda: self._expire(entry))
        try:
            return await answer
        finally:
            limit.cancel()

    def _expire(self, entry: Entry) -> None:
        # A sent entry stays in `_sent`, to be matched with its late reply; an entry that never left can still be withdrawn,
        # and only then is it certain that it will never run.
        if entry.sent:
            entry.lost(StoreUnknown("the store did not answer in time"))
            return
        entry.cancelled = True
        if entry.lost_copy:
            entry.lost(
                StoreUnknown("the connection to the store broke before it answered, and there was no other in time")
            )
        else:
            entry.lost(StoreDown("the store could not be reached in time"))

    def _enter(
        self, command: Command, then: Callable[[Result], None], lost: Callable[[Exception], None], again: bool
    ) -> Entry:
        entry = Entry(command, self._clock.now_us() // 1000, then, lost, again)
        self._waiting.append(entry)
        self._wake()
        return entry

    # ------------------------------------------------------------ after the loss of a connection

    def _requeue(self) -> None:
        """Put back in front, in order, the commands that may run twice or were rejected unexecuted; the rest are unknown."""
        again = []
        for entry in self._sent:
            if entry.again or not entry.sent:
                entry.lost_copy |= entry.sent
                entry.sent = False
                again.append(entry)
            else:
                entry.lost(StoreUnknown("the connection to the store broke before it answered"))
        self._sent.clear()
        self._waiting.extendleft(reversed(again))
        self._wake()
