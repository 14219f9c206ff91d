"""From a plan to a folder with a verdict: conducts the run, keeps what it said, judges it."""

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from harness.checkers import Judgement
from harness.checkers.verdict import TROUBLE, examine
from harness.errors import EnvironmentFailure
from harness.history import Event, FileRecorder, Header, History, HistoryError, Operation, spans
from harness.history import load as load_history
from harness.history.recorder import Recorder
from harness.report import junit, pages, results, summary, text
from harness.report.runs import Run
from harness.run.engine import Engine
from harness.run.environment import Site, site
from harness.run.folder import TRACE, RunFolder, toml
from harness.run.load import Load, MakeLoad, Unusable
from harness.run.plan import Plan, as_table
from harness.run.quiescence import Names

Listener = Callable[[Operation | Event], None]
"""Hears everything that is recorded, when it is recorded. What it does with it is nothing to the run."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that left a history which could be judged; `interrupted` by somebody who had seen enough.

    `digest` is equal for two runs that took the same course; empty where no two do.
    """

    folder: RunFolder
    history: History
    judgement: Judgement
    digest: str
    interrupted: bool


def conduct(
    plan: Plan,
    runs: Path,
    listeners: Iterable[Listener] = (),
    made: Callable[[RunFolder], None] = lambda _: None,
    place: Callable[[Plan], Site] = site,
    load: MakeLoad = Load,
) -> Finished:
    """Run, judge and report. `made` hears of the folder as soon as there is one, `load` makes who asks.

    Raises `UsageError` before anything was started, or for a state that the protocol does not map, and
    `EnvironmentFailure`; the folder then holds the run until then.
    """
    plan = replace(plan, trace=plan.trace or 1)
    plan.header()  # raises before anything is started
    there = place(plan)
    try:
        folder = RunFolder.make(runs, plan.protocol, plan.seed)
        made(folder)
        folder.write("scenario.toml", plan.scenario.text)
        plan = plan.kept_in(folder.path)
        interrupted = _record(plan, plan.header(), folder, there, listeners, load)
    finally:
        there.clear()
    return finish(folder, there.trace(), interrupted=interrupted)


def _record(
    plan: Plan, header: Header, folder: RunFolder, there: Site, listeners: Iterable[Listener], load: MakeLoad
) -> bool:
    """The run into the folder, to its end or to where it broke. Whether it was interrupted."""
    names = Names(untouched=plan.scenario.workload.reads_untouched)
    heard: tuple[Listener, ...] = (names, *listeners)

    def tell(record: Operation | Event) -> None:
        for listener in heard:
            listener(record)

    try:
        with FileRecorder(folder.history, header, there.clock, tell) as recorder:
            folder.become_latest()
            engine = Engine(plan, there, recorder, names, load)
            try:
                interrupted = there.run(whole(engine))
            finally:
                _keep(folder, engine)
            if interrupted:
                give_up(recorder, "interrupted")
            return interrupted
    except HistoryError as error:
        raise EnvironmentFailure(str(error)) from error


def finish(folder: RunFolder, trace: str = "", *, interrupted: bool = False) -> Finished:
    """Judge the history in the folder, and write every report. Raises `HistoryError` if it is not whole."""
    history = load_history(folder.history)
    judgement = examine(history)
    same = digest(trace, history) if trace else ""
    if trace:
        folder.write(TRACE, trace)
    folder.write("trace.ndjson", b"".join(msgspec.json.encode(event) + b"\n" for event in history.events))
    folder.write(folder.results.name, json.dumps(results.render(history, judgement, same), indent=2) + "\n")
    folder.write("junit.xml", junit.render(history, judgement))
    folder.write("summary.md", summary.render(history, judgement))
    folder.write(folder.report.name, text.render(history, judgement))
    folder.write(folder.page.name, pages.of_run(Run(folder.path.name, history, judgement, spans.read(folder.path))))
    return Finished(folder, history, judgement, same, interrupted)


def digest(trace: str, history: History) -> str:
    """Of everything that happened and everything that was seen (BLAKE2b, 8 bytes)."""
    found = hashlib.blake2b(trace.encode(), digest_size=8)
    for record in (*history.operations, *history.events):
        found.update(msgspec.json.encode(record))
    return found.hexdigest()


def _keep(folder: RunFolder, engine: Engine) -> None:
    """What is to be kept whatever happened. A disk that has no room for it has none for the history either."""
    with suppress(EnvironmentFailure):
        folder.write("run.toml", toml(as_table(engine.plan, engine.schedule)))
        folder.write(spans.FILE, spans.encode(engine.site.steps()))
        folder.keep_logs(engine.site.logs)


async def whole(engine: Engine) -> None:
    """The run and its end. A shop that cannot be examined is no failure of the environment: nothing is known of it."""
    try:
        await engine.run()
    except Unusable as trouble:
        give_up(engine.recorder, str(trouble))
    except EnvironmentFailure as failure:
        give_up(engine.recorder, str(failure))
        raise
    finally:
        await engine.site.runtime.down()


def give_up(recorder: Recorder, why: str) -> None:
    """Note why the run ended early, and seal what there is."""
    recorder.event(TROUBLE, why=why)
    recorder.close(complete=False)
