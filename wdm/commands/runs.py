"""`wdm runs`: the list of the kept runs."""

from pathlib import Path

import click

from harness.report.run_folders import describe, list_folders
from wdm import ui
from wdm.exits import OK
from wdm.options import as_json, common, runs_folder

COLUMNS = ("run", "kind", "verdict", "scenario", "protocol", "seed")


@click.command()
@common
@runs_folder("Folder of the run folders.")
@as_json
def runs(runs_dir: Path, as_json: bool) -> int:
    """List the kept runs, oldest first.

    The list has runs of `wdm chaos`, benches, counterexamples of `wdm check`, and grade sheets of `wdm judge`.
    """
    described = [describe(path) for path in list_folders(runs_dir)]
    if as_json:
        ui.document(described)
    else:
        ui.table(COLUMNS, [[run.get(column) for column in COLUMNS] for run in described])
    ui.next_step("`wdm report RUN`, or `wdm serve`" if described else "`wdm chaos`")
    return OK
