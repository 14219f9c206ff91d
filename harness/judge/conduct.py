"""The whole examination: the first requests, the chosen parts within the budget, and the sheet with its files."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version

from harness.errors import EnvironmentFailure
from harness.faults import heal_all
from harness.judge import pages, sheet
from harness.judge.examination import Examination
from harness.judge.parts import PARTS
from harness.judge.parts.base import ExaminationPart, Grade
from harness.judge.preflight import first_requests
from harness.judge.sheet import Sheet
from harness.run.folder import RunFolder
from harness.runtimes import real_time
from harness.runtimes.deployment.limits import allow_many_files
from protocols.errors import UsageError
from protocols.service.tasks import SupervisedTasks

LEAST_SETTLINGS = 6
"""Settling times in a budget: each load may end with one."""

LEAST_S = 5.0
"""The least time of a part in seconds; with less left it is not begun."""


def chosen(names: Sequence[str]) -> list[ExaminationPart]:
    """Return the parts of these names in their order, all without a name. Raises `UsageError` for an unknown one."""
    for name in names:
        if name not in PARTS:
            raise UsageError(f"no part {name!r}; there are: {', '.join(PARTS)}")
    return [part for part in PARTS.values() if not names or part.name in names]


def conduct(examination: Examination, name: str, parts: Sequence[ExaminationPart], folder: RunFolder) -> Sheet:
    """Examine the shop, write the files of the sheet into the folder, and return the sheet.

    Whatever happens, also an interrupt, the nodes of the shop are put back. Raises `EnvironmentFailure` before the first part.
    """
    grades: list[Grade] = []
    took: list[float] = []
    interrupted = False
    try:
        interrupted = real_time.run(_examine(examination, parts, grades, took))
    except EnvironmentFailure as failure:
        if not grades:
            raise
        # A node that does not come back: the sheet of the parts before it is not lost with it.
        grades.append(Grade(part="nodes", standing="inconclusive", reasons=(str(failure),)))
    done = {grade.part for grade in grades}
    if interrupted:
        missing = [part for part in parts if part.name not in done]
        grades += [Grade(part=part.name, standing="not examined", reasons=("interrupted",)) for part in missing]
    result = sheet.make(examination, name, grades, took[0] if took else 0.0, interrupted=interrupted)
    write(result, folder)
    return result


def write(result: Sheet, folder: RunFolder) -> None:
    """Write the sheet as text, JSON, JUnit and page. Raises `EnvironmentFailure`."""
    folder.write(folder.results.name, json.dumps(sheet.document(result, version("wdm")), indent=2) + "\n")
    folder.write(folder.report.name, sheet.text(result))
    folder.write("junit.xml", pages.junit(result))
    folder.write(folder.page.name, pages.page(result))
    folder.become_latest()


async def _examine(
    examination: Examination, parts: Sequence[ExaminationPart], grades: list[Grade], took: list[float]
) -> None:
    now = asyncio.get_running_loop().time
    begin = now()
    limits = examination.limits
    if limits.budget_s < LEAST_SETTLINGS * limits.settle_s:
        examination.say(
            f"a budget of {limits.budget_s:g} s is short for a settling time of {limits.settle_s:g} s after each load: "
            f"parts may be inconclusive; `--budget {LEAST_SETTLINGS * limits.settle_s:.0f}s` is enough"
        )
    allow_many_files()
    examination.begin()
    tasks = SupervisedTasks()
    tasks.start(examination.busyness.watch(), "busyness")
    before, after = examination.shop.lifetime or (_nothing, _nothing)
    try:
        await examination.shop.runtime.up()
        async with asyncio.timeout(examination.limits.answer_s):
            await before()
        await tasks.run_beside(_parts(examination, parts, grades))
    except TimeoutError:
        raise EnvironmentFailure(f"the adapter did not open in {examination.limits.answer_s:g} s") from None
    finally:
        with suppress(Exception):  # the adapter's: the sheet does not depend on it
            async with asyncio.timeout(examination.limits.answer_s):
                await after()
        took.append(now() - begin)
        try:
            await heal_all(examination.shop.runtime)
        finally:
            await examination.shop.runtime.down()


async def _nothing() -> None:
    """Do nothing."""


async def _parts(examination: Examination, parts: Sequence[ExaminationPart], grades: list[Grade]) -> None:
    failed = await first_requests(examination)
    if failed is not None:
        grades.append(failed)
        grades += [Grade(part=part.name, standing="not examined", reasons=("no shop answered",)) for part in parts]
        return
    weights = sum(part.share for part in parts if _possible(examination, part))
    for part in parts:
        if not _possible(examination, part):
            why = "no node was given that may be killed (--compose, --pid or --kill-cmd)"
            grades.append(Grade(part=part.name, standing="not examined", reasons=(why,)))
            continue
        within_s = examination.left_s * part.share / weights if weights else 0.0
        weights -= part.share
        examination.say(f"{part.name}: {part.summary} (up to {max(within_s, LEAST_S):.0f} s)")
        grades.append(await _graded(examination, part, within_s))


def _possible(examination: Examination, part: ExaminationPart) -> bool:
    return bool(examination.shop.nodes) or not part.faults


async def _graded(examination: Examination, part: ExaminationPart, within_s: float) -> Grade:
    has_its_rounds = part.name == "recovery" and examination.kills
    if examination.left_s < LEAST_S and not has_its_rounds:
        return Grade(part=part.name, standing="not examined", reasons=("the budget was used up: raise --budget",))
    try:
        return await part.examine(examination, max(within_s, LEAST_S))
    except Exception as failure:  # noqa: BLE001 - the parts before it are worth their sheet, whatever this one met
        return Grade(part=part.name, standing="inconclusive", reasons=(_words(failure),))


def _words(failure: Exception) -> str:
    """Return a failure as a reason: the message of the environment's, else the type and the message."""
    if isinstance(failure, ExceptionGroup):
        return _words(failure.exceptions[0])
    return str(failure) if isinstance(failure, EnvironmentFailure) else f"{type(failure).__name__}: {failure}"
