"""The one module that makes tasks, so that the end of each has an observer (`tests/unit/test_background.py` forbids others).

- `Background` owns tasks that run beside other work: a failure is reported, and work that must go on begins again.
- `SupervisedTasks` share a fate: the first failure ends all of them.
- `start_task` makes a task whose maker awaits it.

A cancellation may get lost: until Python 3.12 `asyncio.wait_for`, on which client libraries stand, drops one that arrives in the
same turn of the loop as the result. So `end_tasks` cancels again.
"""

import asyncio
import traceback
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from protocols.backoff import Backoff

CANCEL_AGAIN_S = 1.0
END_WITHIN_S = 6.0
RESTART_MS, LONGEST_RESTART_MS = 50.0, 5_000.0

Task = asyncio.Task[Any]
T = TypeVar("T")


def start_task(
    work: Coroutine[Any, Any, T], name: str, loop: asyncio.AbstractEventLoop | None = None
) -> "asyncio.Task[T]":
    """Make a task that its maker awaits to the end, so that its failure is raised there. `loop` is for callers outside one."""
    return (loop or asyncio.get_running_loop()).create_task(work, name=name)


async def to_its_end(work: Coroutine[Any, Any, None], name: str) -> None:
    """Finish work even when cancelled, and only then raise `CancelledError`."""
    task = start_task(work, name)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()


async def end_tasks(tasks: Iterable[Task]) -> None:
    """Cancel tasks until they have ended, with any result; after `END_WITHIN_S` leave the rest and report their names.

    A cancellation of the caller is raised afterwards.
    """
    tasks, cancelled = tuple(tasks), None
    deadline = asyncio.get_running_loop().time() + END_WITHIN_S
    while left := [task for task in tasks if not task.done()]:
        if asyncio.get_running_loop().time() >= deadline:
            names = ", ".join(sorted(task.get_name() for task in left))
            _report_to_loop(f"tasks do not end within {END_WITHIN_S:g} s: {names}")
            break
        for task in left:
            task.cancel()
        try:
            await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
        except asyncio.CancelledError as error:
            # Raised at the end: to leave now would leave tasks without an owner.
            cancelled = error
    for task in tasks:
        if task.done() and not task.cancelled():
            task.exception()  # marked as seen
    if cancelled is not None:
        raise cancelled


class Background:
    """The owner of tasks that run beside other work. `failure` is the first exception that any of them ended with.

    `report` receives a line about each failure, once for each reason in a row. Without it the event loop's exception handler
    receives the exception: in the simulator that makes the run fail.
    """

    def __init__(self, report: Callable[[str], None] | None = None) -> None:
        self.failure: Exception | None = None
        self._report = report
        self._tasks: dict[Task, None] = {}  # in the order of their start
        self._reported: dict[str, str] = {}

    def run(self, work: Coroutine[Any, Any, T], name: str) -> "asyncio.Task[T]":
        """Start work that ends by itself; its failure is reported and kept."""
        task = start_task(work, name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)
        return task

    def keep(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> Task:
        """Start work that has to go on until `stop`: it begins again after each end, later each time while it fails at once."""
        return self.run(self._keep(work, name), name)

    async def stop(self) -> None:
        """End all tasks."""
        await end_tasks(self._tasks)

    # ------------------------------------------------------------ inside

    async def _keep(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        now, backoff = asyncio.get_running_loop().time, Backoff(RESTART_MS, LONGEST_RESTART_MS)
        while True:
            started_s = now()
            try:
                await work()
                self._failed(name, RuntimeError("it returned"))
            except asyncio.CancelledError:
                # A library that cancels the future which the work awaits looks the same as `stop` cancelling this task.
                if _is_being_cancelled():
                    raise
                self._failed(name, RuntimeError("it was cancelled"))
            except Exception as error:  # noqa: BLE001  the work has to go on after any error
                self._failed(name, error)
            if now() - started_s > LONGEST_RESTART_MS / 1000:
                backoff.reset()
            await asyncio.sleep(backoff.next_s())

    def _ended(self, task: Task) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._failed(task.get_name(), error)

    def _failed(self, name: str, error: Exception) -> None:
        self.failure = self.failure or error
        reason = f"{type(error).__name__}: {error}"
        if self._reported.get(name) == reason:
            return
        self._reported[name] = reason
        if self._report is None:
            _report_to_loop(f"{name} failed", error)
        else:
            self._report(f"{name} failed with {reason}{_place(error)}")


class SupervisedTasks:
    """Tasks that share a fate: the first to fail ends all. `asyncio.TaskGroup` does so too, but cancels them only once."""

    def __init__(self) -> None:
        self._tasks: dict[Task, None] = {}
        self._failure: Exception | None = None
        self._failed = asyncio.Event()
        self._over = False

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Start a task; nothing once the others are being ended."""
        if self._over:
            work.close()
            return
        task = start_task(work, name)
        self._tasks[task] = None
        task.add_done_callback(self._ended)

    async def wait_for_failure(self) -> None:
        """Raise the first failure, once all tasks have ended. A cancellation of the caller ends them too."""
        try:
            await self._failed.wait()
        finally:
            self._over = True
            await end_tasks(self._tasks)
        assert self._failure is not None
        raise self._failure

    async def run_beside(self, work: Coroutine[Any, Any, T]) -> T:
        """Return the result of `work`, and end the tasks then. The first failure of a task cancels `work` and is raised."""
        main = start_task(work, "main")
        watch = start_task(self.wait_for_failure(), "supervision")
        watch.add_done_callback(lambda _: main.cancel())
        try:
            result = await main
        except asyncio.CancelledError:
            if self._failure is None or _is_being_cancelled():
                raise
            raise self._failure from None
        else:
            if self._failure is not None:  # the cancellation was lost: see the module's docstring
                raise self._failure
            return result
        finally:
            await end_tasks((main, watch))

    def _ended(self, task: Task) -> None:
        self._tasks.pop(task, None)
        # Only this class may cancel its tasks; a library that cancels the future which a task awaits does it all the same.
        failure = RuntimeError(f"{task.get_name()} was cancelled") if task.cancelled() else task.exception()
        if isinstance(failure, Exception) and self._failure is None:
            self._failure = failure
            self._failed.set()


def _place(error: Exception) -> str:
    """Return the place of a defect in one line: its whole traceback at each restart would fill a log."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""


def _is_being_cancelled() -> bool:
    """Return whether the current task itself is being cancelled, and not only a future that it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _report_to_loop(message: str, error: Exception | None = None) -> None:
    context: dict[str, Any] = {"message": message}
    if error is not None:
        context["exception"] = error
    asyncio.get_running_loop().call_exception_handler(context)
