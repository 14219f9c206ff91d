"""A batch of examinations: each shop is started, examined and ended in its turn, and no failure of one stops the others."""

import os
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from harness.errors import EnvironmentFailure
from harness.judge import conduct, sheet
from harness.judge.adapter import behind
from harness.judge.batch_file import BatchEntry
from harness.judge.examination import Examination
from harness.judge.parts.base import Grade
from harness.judge.sheet import Sheet
from harness.judge.shop import ExaminedShop, addresses, over_http
from harness.judge.started_shop import StartedShop
from harness.run.folder import RunFolder
from harness.runtimes import real_time
from harness.runtimes.external.base import ForeignNode
from harness.runtimes.external.parse import nodes_from
from harness.runtimes.external.runtime import ExternalRuntime
from protocols.errors import UsageError
from protocols.service.tasks import to_its_end

START = "start"
"""The name of the grade of a shop that could not be examined."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """The result of one shop. `failed_start`: the environment and not the shop was examined. `remark`: of its end."""

    entry: BatchEntry
    sheet: Sheet
    failed_start: bool = False
    remark: str = ""


@dataclass(slots=True)
class ShopBatch:
    """The shops of one batch, its folder and the rows so far. `say` receives lines of progress."""

    entries: Sequence[BatchEntry]
    folder: RunFolder
    seed: int
    say: Callable[[str], None] = lambda _: None
    rows: list[BatchRow] = field(default_factory=list)
    interrupted: bool = False

    def conduct(self) -> None:
        """Examine every shop in turn. After an interrupt the rest is not examined; what was started is ended in any case."""
        for number, entry in enumerate(self.entries, 1):
            folder = self._folder(entry)
            if self.interrupted:
                row = BatchRow(entry, _not_examined(entry, folder, self.seed, "", interrupted=True))
            else:
                self.say(f"[{number}/{len(self.entries)}] {entry.name}; folder {folder.path}")
                row = self._row(entry, folder)
            self.interrupted = self.interrupted or row.sheet.interrupted
            if row.failed_start or row.sheet.interrupted:
                conduct.write(row.sheet, folder)
            self.rows.append(row)
            self.say(f"{entry.name}: {row.sheet.headline}{f' ({row.remark})' if row.remark else ''}")

    def _row(self, entry: BatchEntry, folder: RunFolder) -> BatchRow:
        """Start, examine and end one shop. No failure of it raises."""
        turn = _Turn(entry, folder, self.seed, self.say)
        reason, remark = "", ""
        try:
            with _variables(entry.env):
                turn.examine()
        except (EnvironmentFailure, UsageError) as failure:
            reason = str(failure)
        except KeyboardInterrupt:
            turn.interrupted = True
        except Exception as error:  # noqa: BLE001 - a defect of wdm costs one row and not the others
            folder.write("traceback.txt", traceback.format_exc())
            reason = f"unexpected {type(error).__name__}: {error}; {folder.path}/traceback.txt shows where"
        finally:
            with _variables(entry.env):
                remark = turn.end()
        if turn.result is not None and not reason:
            return BatchRow(entry, turn.result, remark=remark)
        result = _not_examined(entry, folder, self.seed, reason, interrupted=turn.interrupted)
        return BatchRow(entry, result, failed_start=not turn.interrupted, remark=remark)

    def _folder(self, entry: BatchEntry) -> RunFolder:
        folder = RunFolder(self.folder.path / entry.slug)
        try:
            folder.path.mkdir()
        except OSError as error:
            raise EnvironmentFailure(f"{folder.path}: cannot write the batch: {error.strerror or error}") from error
        return folder


class _Turn:
    """The turn of one shop: its start, its examination and its end. `result` is None until it was examined."""

    def __init__(self, entry: BatchEntry, folder: RunFolder, seed: int, say: Callable[[str], None]) -> None:
        self.result: Sheet | None = None
        self.interrupted = False
        self._entry, self._folder, self._seed, self._say = entry, folder, seed, say
        self._started = StartedShop(entry, folder.path)
        self._urls: Mapping[str, str | None] = entry.urls

    def examine(self) -> None:
        """Start the shop, and examine it. Raises `EnvironmentFailure` and `UsageError`."""
        self.interrupted = real_time.run(self._start())
        if self.interrupted:
            return
        parts = conduct.chosen(self._entry.parts)
        self.result = conduct.conduct(self._examination(), self._entry.name, parts, self._folder)
        self.interrupted = self.result.interrupted

    def end(self) -> str:
        """End what was started, also during an interrupt. Return a remark for the user, empty without one."""
        remarks: list[str] = []

        async def work() -> None:
            remarks.append(await self._started.end(self._urls))

        try:
            self.interrupted = real_time.run(to_its_end(work(), "end of the shop")) or self.interrupted
        except Exception as error:  # noqa: BLE001 - as in `_row`
            remarks.append(f"the shop could not be ended: {error}")
        return "; ".join(filter(None, remarks))

    async def _start(self) -> None:
        entry = self._entry
        await self._started.start(self._urls)
        if entry.urls_file is not None:
            self._urls = _preferred(entry.urls, await self._started.await_urls(entry.urls_file))
        if any(self._urls.values()) or entry.adapter is None:
            self._urls = dict(addresses(None, self._urls))
            await self._started.await_answer(addresses(None, self._urls))

    def _examination(self) -> Examination:
        runtime = ExternalRuntime(next(filter(None, self._urls.values()), self._entry.name), self._nodes())
        entry = self._entry
        shop = behind(entry.adapter, runtime) if entry.adapter else over_http(addresses(None, self._urls), runtime)
        return Examination(shop, self._folder.path, self._seed, entry.limits, entry.isolation, self._say)

    def _nodes(self) -> list[ForeignNode]:
        given, started = self._entry.nodes, self._started
        pids, starts = list(given["pid"]), list(given["start_cmd"])
        if self._entry.node and started.command is not None:
            pids.append(f"{self._entry.node}={started.pid}")
            starts.append(f"{self._entry.node}={started.command.text}")
        projects = [started.project] if started.project else []
        kills, logs = given["kill_cmd"], self._folder.path
        return nodes_from(pids, given["pidfile"], starts, kills, projects, logs, started.begun, self._entry.folder)


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of the environment, which commands and adapters read, and restore the former ones."""
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _preferred(given: Mapping[str, str | None], read: Mapping[str, str | None]) -> dict[str, str | None]:
    return {prefix: given.get(prefix) or url for prefix, url in read.items()}


def _not_examined(entry: BatchEntry, folder: RunFolder, seed: int, reason: str, *, interrupted: bool) -> Sheet:
    """Return the sheet of a shop without an examination, with the reason."""
    address = next(filter(None, entry.urls.values()), str(entry.urls_file or entry.adapter or entry.name))
    shop = ExaminedShop(address, _no_client, ExternalRuntime(address, ()))
    examination = Examination(shop, folder.path, seed, entry.limits, entry.isolation)
    why = "interrupted" if interrupted else "the shop was not started"
    grades = [Grade(part=part.name, standing="not examined", reasons=(why,)) for part in conduct.chosen(entry.parts)]
    if not interrupted:
        grades.insert(0, Grade(part=START, standing="inconclusive", reasons=(reason,)))
    return sheet.make(examination, entry.name, grades, 0.0, interrupted=interrupted)


def _no_client(limit_s: float) -> NoReturn:
    raise AssertionError(f"a shop that was not started has no client ({limit_s:g} s)")
