"""The shipped elector, one call at a time.

A round of an `Elector` is a function of the answers to its calls. So its state is the answers so far, those of each copy in
order, and the next calls come from running the real code with these answers (as a replay in the stateless search of Godefroid,
"Model checking for programming languages using VeriSoft", POPL 1997; here the states are kept).
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple, cast

from protocols.copies import COPIES
from protocols.copies.elector import Copy, Elector, Silent, View
from protocols.service.tasks import start_task

SILENT = "no answer"
Answers = tuple[tuple[Any, ...], ...]
"""The answers of each copy, `SILENT` for none."""
BEGUN: Answers = ((),) * COPIES


class ElectorCall(NamedTuple):
    """A call of an elector to the copy ``at``."""

    at: int
    method: str
    args: tuple[Any, ...] = ()


class Rounds:
    """The rounds of elector ``number``. ``enabled``: see `Elector`."""

    def __init__(self, number: int, enabled: Callable[[str], bool]) -> None:
        self._number = number
        self._enabled = enabled
        self._known: dict[Answers, tuple[ElectorCall, ...]] = {}
        self._loop = asyncio.new_event_loop()

    def after(self, answers: Answers) -> tuple[ElectorCall, ...]:
        """Return the calls that wait for an answer after these, none at the end of the round."""
        if answers not in self._known:
            self._known[answers] = self._loop.run_until_complete(self._replay(answers))
        return self._known[answers]

    def close(self) -> None:
        self._loop.close()

    async def _replay(self, answers: Answers) -> tuple[ElectorCall, ...]:
        copies = [_AnsweringCopy(at, answers[at]) for at in range(COPIES)]
        elector = Elector(cast("list[Copy]", copies), self._number, Random(0), self._enabled)
        task = start_task(elector.round(), f"round of elector {self._number}")
        made, quiet = -1, 0
        while not task.done() and quiet < 10:  # turns of the loop without a further call: all that could go on has
            await asyncio.sleep(0)
            calls = sum(copy.made for copy in copies)
            made, quiet = calls, quiet + 1 if calls == made else 0
        if task.done():
            task.result()
            return ()
        task.cancel()
        await asyncio.wait((task,))
        return tuple(copy.waiting for copy in copies if copy.waiting)


class _AnsweringCopy:
    """A `Copy` and its hold: it has the first answers, and waits for ever for the next."""

    def __init__(self, at: int, answers: tuple[Any, ...]) -> None:
        self.name = str(at)
        self.made = 0
        self.waiting: ElectorCall | None = None
        self._at = at
        self._answers = answers

    async def look(self) -> View:
        return cast("View", await self._call("look"))

    async def confirm(self, epoch: int, within_s: float) -> bool:
        del within_s
        return bool(await self._call("confirm", epoch))

    async def hold(self) -> "_AnsweringHold":
        await self._call("hold")
        return _AnsweringHold(self._call)

    async def _call(self, method: str, *args: Any) -> Any:
        self.made += 1
        if self.made > len(self._answers):
            self.waiting = ElectorCall(self._at, method, args)
            await asyncio.get_running_loop().create_future()
        answer = self._answers[self.made - 1]
        if answer == SILENT:
            raise Silent(f"copy {self.name}")
        return answer


class _AnsweringHold:
    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    async def look(self) -> View:
        return cast("View", await self._call("held-look"))

    async def promise(self, ballot: int) -> None:
        await self._call("promise", ballot)

    async def detach(self) -> None:
        await self._call("detach")

    async def promote(self, epoch: int) -> None:
        await self._call("promote", epoch)

    async def follow(self, primary: str) -> None:
        await self._call("follow", primary)

    def release(self) -> None:
        """Do nothing: the next elector's hold ends this one."""
