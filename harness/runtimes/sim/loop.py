"""An event loop in virtual time: when no callback is ready, the time becomes that of the next timer.

The loop has no part of the standard one that depends on the machine: no socket, no thread, no signal. Timers of the same moment
run in the order in which they were set. So the same program takes the same course each time.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextvars import Context, copy_context
from typing import Any, TypeVar

from protocols.service.tasks import start_task

T = TypeVar("T")


class Standstill(Exception):
    """An error: no timer is left and a task still waits. It is a defect of the simulated code, or of the simulator."""


class VirtualTimer(asyncio.TimerHandle):
    """A timer without the standard one's record of where it was set: a simulation sets hundreds of thousands."""

    __slots__ = ()

    def __init__(
        self,
        when: float,
        callback: Callable[..., object],
        args: Sequence[Any],
        loop: "VirtualLoop",
        context: Context | None,
    ) -> None:
        self._context = copy_context() if context is None else context
        self._loop = loop
        self._callback = callback
        self._args = args
        self._cancelled = False
        self._repr = self._source_traceback = None
        self._when = when
        self._scheduled = False


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop whose `time()` is in virtual seconds since it was made."""

    _ready: deque[asyncio.Handle]  # the standard loop's: the callbacks that run at its next turn
    _stopping: bool

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = itertools.count()

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def time_ns(self) -> int:
        """Return the virtual time in nanoseconds."""
        return round(self._now * 1e9)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = VirtualTimer(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._number), timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, _executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> "asyncio.Future[T]":
        """Run the function at once, in this thread: the end of another thread would depend on the machine."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  the error is for the caller
            future.set_exception(error)
        return future

    # ------------------------------------------------------------ the hooks of the standard loop

    def _run_once(self) -> None:
        """Run one turn: every ready callback, or, without one, those of the next timer."""
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
        """Do nothing: `_run_once` skips a cancelled timer."""

    def _process_events(self, event_list: Any) -> None:
        """Do nothing: there is no socket that could have events."""

    def _write_to_self(self) -> None:
        """Do nothing: there is no other thread that could wake this one."""


def run(loop: VirtualLoop, work: Coroutine[Any, Any, None]) -> bool:
    """Run `work` to its end, and close the loop; return whether Ctrl-C has interrupted and so cancelled it.

    Raises the error of `work`, and `Standstill`.
    """
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
