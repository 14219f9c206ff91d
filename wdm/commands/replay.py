"""``wdm replay``: take the course of a kept run again."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from harness.chaos.folder import DEFAULT, RunFolder, find
from harness.chaos.replay import FILE, plan_of
from wdm import ui
from wdm.commands.chaos import once
from wdm.exits import UNKNOWN
from wdm.options import as_json, common, option


@click.command()
@common
@click.argument("run")
@option("--runs-dir", default=DEFAULT, show_default=True, metavar="DIR", help="Where the run folders are.")
@as_json
def replay(run: str, runs_dir: str, as_json: bool) -> int:
    """Take the course of RUN again: its folder, its name, or a part of its name, such as the seed.

    A run of the simulator takes exactly the same course, every fault and every message at the same moment; one on real
    processes has the same faults at the same times. The exit code is that of the run.
    """
    path = find(Path(runs_dir), run)
    replayed = next((again for file, again in KINDS.items() if (path / file).is_file()), _chaos)
    return replayed(path, Path(runs_dir), as_json)


def _chaos(path: Path, runs: Path, as_json: bool) -> int:
    plan = plan_of(path)
    code, digest = once(plan, runs, as_json)
    former = _digest(RunFolder(path))
    if not former or not digest:
        return code
    if digest == former:
        ui.say(f"the same course as before: trace {digest}")
        return code
    ui.complain(f"another course than before: trace {digest}, not {former}; the code has changed since")
    return code or UNKNOWN


KINDS: Mapping[str, Callable[[Path, Path, bool], int]] = {FILE: _chaos}
"""By the file that a run of a kind leaves in its folder."""


def _digest(folder: RunFolder) -> str:
    try:
        return str(json.loads(folder.results.read_text("utf-8")).get("trace") or "")
    except (OSError, ValueError):
        return ""
