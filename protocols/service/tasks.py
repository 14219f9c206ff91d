"""The one place that makes tasks, so that the end of each is seen (`tests/unit/test_background.py` forbids others).

- `Background` owns what runs beside other work: a failure is reported, and what has to go on begins again.
- `SupervisedTasks` holds tasks that share a fate: the first failure ends all.
- `begin` makes a task whose maker awaits it.

One cancellation is a request that may get lost: until Python 3.12 `asyncio.wait_for`, on which client libraries stand, drops
one that comes in the same turn of the loop as the result. So `end` asks again.
"""

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

AGAIN_S = 1.0
WITHIN_S = 6.0
REPAIR_S, REPAIR_LATEST_S = 0.05, 5.0

Task = asyncio.Task[Any]
T = TypeVar("T")


def begin(work: Coroutine[Any, Any, T], name: str, loop: asyncio.AbstractEventLoop | None = None) -> "asyncio.Task[T]":
    """Make a task that its maker awaits to its end, and whose failure its maker thereby receives. `loop`: if none runs yet."""
    return (loop or asyncio.get_running_loop()).create_task(work, name=name)


async def end(tasks: Iterable[Task]) -> None:
    """Cancel them until they have ended, whatever they end with. One that has not after `WITHIN_S` is left to itself.

    A cancellation of the caller is carried out afterwards.
    """
    tasks, cancelled = tuple(tasks), None
    deadline = asyncio.get_running_loop().time() + WITHIN_S
    while left := [task for task in tasks if not task.done()]:
        if asyncio.get_running_loop().time() >= deadline:
            names = ", ".join(sorted(task.get_name() for task in left))
            _tell_the_loop(f"tasks do not end within {WITHIN_S:g} s: {names}")
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


class Background:
    """The owner of tasks that run beside other work. `failure` is the first that any of them ended with.

    `report` receives a line about each failure, once for each reason in a row. Without it the handler of the event loop
    receives the exception: in the simulator that makes the run fail.
    """

    def __init__(self, report: Callable[[str], None] | None = None) -> None:
        self.failure: Exception | None = None
        self._report = report
        self._tasks: dict[Task, None] = {}  # in the order of their beginning
        self._said: dict[str, str] = {}

    def run(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Begin work that ends by itself; its failure is reported and kept."""
        task = begin(work, name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def keep(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> Task:
        """Begin work that has to go on until `stop`: after each end it begins again, later each time while it fails at once."""
        return self.run(self._keep(work, name), name)

    async def stop(self) -> None:
        """End all of them."""
        await end(self._tasks)

    # ------------------------------------------------------------ inside

    async def _keep(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        now, pause_s = asyncio.get_running_loop().time, REPAIR_S
        while True:
            begun = now()
            try:
                await work()
                self._failed(name, RuntimeError("it returned"))
            except asyncio.CancelledError:
                if _is_wanted():
                    raise
                self._failed(name, RuntimeError("it was cancelled"))
            except Exception as error:  # noqa: BLE001  whatever it was, the work has to go on
                self._failed(name, error)
            if now() - begun > REPAIR_LATEST_S:
                pause_s = REPAIR_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, REPAIR_LATEST_S)

    def _ended(self, task: Task) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._failed(task.get_name(), error)

    def _failed(self, name: str, error: Exception) -> None:
        self.failure = self.failure or error
        reason = f"{type(error).__name__}: {error}"
        if self._said.get(name) == reason:
            return
        self._said[name] = reason
        if self._report is None:
            _tell_the_loop(f"{name} failed", error)
        else:
            self._report(f"{name} failed with {reason}{_place(error)}")


class SupervisedTasks:
    """Tasks that share a fate: the first to fail ends all. `asyncio.TaskGroup` does so too, but cancels them only once."""

    def __init__(self) -> None:
        self._tasks: dict[Task, None] = {}
        self._failure: Exception | None = None
        self._failed = asyncio.Event()
        self._over = False

    def add(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Once the others are being ended, nothing more is begun."""
        if self._over:
            work.close()
            return
        task = begin(work, name)
        self._tasks[task] = None
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

    async def beside(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry out `work` while the others go on, and end them. The first of them to fail cancels it and is raised."""
        main = begin(work, "main")
        watch = begin(self.until_one_fails(), "crew")
        watch.add_done_callback(lambda _: main.cancel())
        try:
            result = await main
        except asyncio.CancelledError:
            if self._failure is None or _is_wanted():
                raise
            raise self._failure from None
        else:
            if self._failure is not None:  # the cancellation was lost
                raise self._failure
            return result
        finally:
            await end((main, watch))

    def _ended(self, task: Task) -> None:
        self._tasks.pop(task, None)
        # Nobody but us is to cancel it; a library that cancels what it makes us wait for does.
        failure = RuntimeError(f"{task.get_name()} was cancelled") if task.cancelled() else task.exception()
        if isinstance(failure, Exception) and self._failure is None:
            self._failure = failure
            self._failed.set()


def _place(error: Exception) -> str:
    """Where a defect is, in one line: its whole traceback at each repair would fill a log."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _is_wanted() -> bool:
    """Whether the current task itself is being cancelled, and not only something that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _tell_the_loop(message: str, error: Exception | None = None) -> None:
    context: dict[str, Any] = {"message": message}
    if error is not None:
        context["exception"] = error
    asyncio.get_running_loop().call_exception_handler(context)
