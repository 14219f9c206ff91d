"""Tasks that end when they are told to, and tasks that share a fate.

One cancellation is a request that may get lost: until Python 3.12 ``asyncio.wait_for``, on which client libraries stand, drops
one that comes in the same turn of the loop as the result. So whoever needs a task's end asks again.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog

AGAIN_S = 1.0
WITHIN_S = 6.0

log = structlog.get_logger()

Task = asyncio.Task[Any]


async def end(tasks: Iterable[Task]) -> None:
    """Cancel them until they have ended, whatever they end with. One that has not after ``WITHIN_S`` is left to itself.

    A cancellation of the caller is carried out afterwards.
    """
    tasks, cancelled = tuple(tasks), None
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while left := {task for task in tasks if not task.done()}:
        if asyncio.get_running_loop().time() >= deadline:
            log.error("tasks do not end", names=sorted(task.get_name() for task in left), after_s=WITHIN_S)
            break
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=AGAIN_S)
        except asyncio.CancelledError as error:
            cancelled = error
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # seen
    if cancelled is not None:
        raise cancelled


class Crew:
    """Tasks that share a fate: the first to fail ends all. ``asyncio.TaskGroup`` says so too, but asks them only once."""

    def __init__(self) -> None:
        self._tasks: set[Task] = set()
        self._failure: Exception | None = None
        self._failed = asyncio.Event()
        self._over = False

    def add(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Once the others are being ended, nothing more is begun."""
        if self._over:
            work.close()
            return
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def until_one_fails(self) -> None:
        """Raises what the first to fail raised, once all have ended; so does a cancellation."""
        try:
            await self._failed.wait()
        finally:
            self._over = True
            await end(self._tasks)
        assert self._failure is not None
        raise self._failure

    def _ended(self, task: Task) -> None:
        self._tasks.discard(task)
        # Nobody but us is to cancel it; a library that cancels what it makes us wait for does.
        failure = RuntimeError(f"{task.get_name()} was cancelled") if task.cancelled() else task.exception()
        if isinstance(failure, Exception) and self._failure is None:
            self._failure = failure
            self._failed.set()
