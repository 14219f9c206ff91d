"""An event loop in virtual time: when nothing is left to do now, it is at once the time of the next thing to do.

What the standard loop leaves to the machine is left out: no socket, no thread, no signal. What is due at the same moment is done
in the order in which it was asked for. So the same program takes the same course each time.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from typing import Any, TypeVar

from protocols.service.tasks import start_task

T = TypeVar("T")


class Standstill(Exception):
    """Nothing will ever happen any more, and something still waits: a defect of what is simulated, or of the simulator."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`time()` is in seconds since the loop was made."""

    _ready: deque[asyncio.Handle]  # the standard loop's: what is to be done now
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = itertools.count()

    def time(self) -> float:
        return self._now

    def time_ns(self) -> int:
        return round(self._now * 1e9)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._number), timer))
        return timer

    def run_in_executor(  # type: ignore[override]
        self, _executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """At once, in this thread: a thread would come back whenever the machine likes."""
        found = self.create_future()
        try:
            found.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  it is the caller's
            found.set_exception(error)
        return found

    # ------------------------------------------------------------ what the standard loop calls

    def _run_once(self) -> None:
        """One turn: everything that is to be done now, and if that is nothing, what is due next."""
        ready, timers = self._ready, self._timers
        while not ready:
            if not timers:
                raise Standstill("the simulation came to a standstill: a task waits for an event that never comes")
            when, _, timer = heapq.heappop(timers)
            if not timer.cancelled():
                self._now = max(self._now, when)
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when its time has come."""

    def _process_events(self, event_list: Any) -> None:
        """There is no socket that could have any."""

    def _write_to_self(self) -> None:
        """There is no other thread that could wake this one."""


def run(loop: VirtualLoop, work: Coroutine[Any, Any, None]) -> bool:
    """Run `work` to its end, and close the loop. Whether it was interrupted by Ctrl-C; it then was cancelled."""
    task = start_task(work, "simulation", loop)
    try:
        try:
            loop.run_until_complete(task)
        except KeyboardInterrupt:
            task.cancel()
            loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            return True
        return False
    finally:
        _cancel_all(loop)
        loop.close()


def _cancel_all(loop: VirtualLoop) -> None:
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
