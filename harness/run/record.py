"""From a plan to a run folder: the history, the spans, the logs and the schedule of one run."""

import hashlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from harness.checkers.verdict import TROUBLE
from harness.errors import EnvironmentFailure
from harness.history import Event, FileRecorder, Header, History, HistoryError, Operation, spans
from harness.history.recorder import Recorder
from harness.run.engine import RunEngine
from harness.run.folder import RunFolder, toml
from harness.run.load import ClosedLoad, MakeLoad, SetupFailed
from harness.run.plan import Plan, as_table
from harness.run.quiescence import Names
from harness.runtimes.environment import Environment

Listener = Callable[[Operation | Event], None]
"""A callback that receives every line of the history when it is recorded; it cannot influence the run."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A run whose history is in `folder`. `trace` is the text that two equal runs have in common, empty where the
    runtime has none; `interrupted` is true after an interrupt by the user.
    """

    folder: RunFolder
    trace: str = ""
    interrupted: bool = False


def record(
    plan: Plan,
    runs: Path,
    listeners: Iterable[Listener] = (),
    on_folder: Callable[[RunFolder], None] = lambda _: None,
    make_environment: Callable[[Plan], Environment] = Plan.environment,
    load: MakeLoad = ClosedLoad,
) -> Recording:
    """Run `plan` to its end or its failure, in a new folder below `runs`.

    `on_folder` receives the folder as soon as it exists, `load` makes the clients. Raises `UsageError` before anything was
    started, or for a state that the protocol does not map, and `EnvironmentFailure`; the folder then holds the run
    until that time. `harness.report.finish` judges the folder.
    """
    plan = replace(plan, trace=plan.trace or 1)
    plan.header()  # raises before anything is started
    environment = make_environment(plan)
    try:
        folder = RunFolder.make(runs, f"{plan.protocol}-{plan.seed}")
        on_folder(folder)
        folder.write("scenario.toml", plan.scenario.text)
        plan = plan.kept_in(folder.path)
        interrupted = _record(plan, plan.header(), folder, environment, listeners, load)
    finally:
        environment.clear()
    return Recording(folder, environment.trace(), interrupted)


def _record(
    plan: Plan,
    header: Header,
    folder: RunFolder,
    environment: Environment,
    listeners: Iterable[Listener],
    load: MakeLoad,
) -> bool:
    """Record the run into the folder. Return whether it was interrupted."""
    names = Names(untouched=plan.scenario.workload.reads_untouched)
    receivers: tuple[Listener, ...] = (names, *listeners)

    def publish(line: Operation | Event) -> None:
        for listener in receivers:
            listener(line)

    try:
        with FileRecorder(folder.history, header, environment.clock, publish) as recorder:
            folder.become_latest()
            engine = RunEngine(plan, environment, recorder, names, load)
            try:
                interrupted = environment.run(run_and_stop(engine))
            finally:
                _keep(folder, engine)
            if interrupted:
                abandon(recorder, "interrupted")
            return interrupted
    except HistoryError as error:
        raise EnvironmentFailure(str(error)) from error


def digest(trace: str, history: History) -> str:
    """Hash the course of a run: its trace and its history (BLAKE2b, 8 bytes, in hex)."""
    course = hashlib.blake2b(trace.encode(), digest_size=8)
    for line in (*history.operations, *history.events):
        course.update(msgspec.json.encode(line))
    return course.hexdigest()


def _keep(folder: RunFolder, engine: RunEngine) -> None:
    """Write the files that every run leaves. A disk without space for them has none for the history either."""
    with suppress(EnvironmentFailure):
        folder.write("run.toml", toml(as_table(engine.plan, engine.schedule)))
        folder.write(spans.FILE, spans.encode(engine.environment.spans()))
        folder.keep_logs(engine.environment.logs)


async def run_and_stop(engine: RunEngine) -> None:
    """Run the engine and stop its shop. A shop that cannot be examined is no failure of the environment: the verdict
    is unknown.
    """
    try:
        await engine.run()
    except SetupFailed as trouble:
        abandon(engine.recorder, str(trouble))
    except EnvironmentFailure as failure:
        abandon(engine.recorder, str(failure))
        raise
    finally:
        await engine.environment.runtime.down()


def abandon(recorder: Recorder, why: str) -> None:
    """Record why the run ended early, and close its history as incomplete."""
    recorder.event(TROUBLE, why=why)
    recorder.close(complete=False)
