"""`wdm replay`: one more execution of a kept run."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import click

from harness.chaos.replay import FILE, OtherVersion, load_plan
from harness.formats import Unreadable
from harness.report import results, run_folders
from harness.run import counterexample as counterexamples
from harness.run.counterexample import COUNTEREXAMPLE, NotReproducible
from harness.run.folder import RunFolder
from protocols.errors import UsageError
from wdm import ui
from wdm.commands.chaos import once
from wdm.exits import UNKNOWN, VIOLATED
from wdm.options import as_json, common, runs_folder
from wdm.parameters import Text


class Replayer(NamedTuple):
    """A kind of run folder: the file that only it has, and its replay.

    The replay takes the folder, the folder of all runs and whether to print JSON, and returns the exit code.
    """

    mark: str
    replay: Callable[[Path, Path, bool], int]


@click.command()
@common
@click.argument("run", type=Text(), required=False)
@runs_folder("Folder of the run folders.")
@as_json
def replay(run: str | None, runs_dir: Path, as_json: bool) -> int:
    """Repeat a kept run or counterexample.

    RUN is a run folder, its name or a part of the name such as the seed; by default the last run. A simulated run repeats the
    execution exactly, with every fault and every message at the same moment; a run on real processes has the same faults at the
    same times. The exit code is that of the run. A counterexample of `wdm check` is replayed step by step on the code of this
    version: exit code 1 if the violation shows again, 3 if a step is no longer possible.
    """
    folder = _find(runs_dir, run)
    replayer = _replayer(folder)
    assert replayer is not None, "a folder without a replayer is not found"
    return replayer.replay(folder, runs_dir, as_json)


def _counterexample(folder: Path, _runs: Path, as_json: bool) -> int:
    try:
        counterexample = counterexamples.load(folder / COUNTEREXAMPLE)
        replayed = counterexamples.replay(counterexample)
    except (Unreadable, NotReproducible) as error:
        ui.error(str(error))
        return UNKNOWN
    transcript = counterexamples.describe(counterexample.model_check(), replayed)
    if as_json:
        ui.document({"verdict": "violated", "violation": replayed.violation, "transcript": transcript})
    else:
        click.echo(transcript, nl=False)
    ui.next_step(f"`{counterexample.model_check().command()}` searches anew")
    return VIOLATED


def _chaos(folder: Path, runs: Path, as_json: bool) -> int:
    former = _digest(RunFolder(folder))
    try:
        plan = load_plan(folder)
    except OtherVersion as error:
        ui.error(str(error))
        return UNKNOWN
    code, digest = once(plan, runs, as_json)
    if not former or not digest:
        return code
    if digest == former:
        ui.progress(f"the same execution as before: trace {digest}")
        return code
    ui.error(f"another execution than before: trace {digest}, not {former}; the code has changed since")
    return code or UNKNOWN


def _digest(folder: RunFolder) -> str:
    """Return the digest of the execution of a run; empty if it has none."""
    if not folder.results.is_file():
        return ""
    try:
        return results.read(folder.results).get("trace") or ""
    except Unreadable as error:
        ui.error(f"the execution of the run is unknown: {error}")
        return ""


REPLAYERS = (Replayer(COUNTEREXAMPLE, _counterexample), Replayer(FILE, _chaos))


def _find(runs: Path, name: str | None) -> Path:
    """Find the folder of the run `name`, or the last one that can be replayed. Raises `UsageError`."""
    if name:
        return run_folders.find(runs, name, _replayer, "run that can be replayed")
    last = next((path for path in reversed(run_folders.list_folders(runs)) if _replayer(path)), None)
    if last is None:
        raise UsageError(f"no run that can be replayed in {runs}")
    return last


def _replayer(folder: Path) -> Replayer | None:
    return next((replayer for replayer in REPLAYERS if (folder / replayer.mark).is_file()), None)
