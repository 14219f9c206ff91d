"""``wdm runs``: what was kept."""

from pathlib import Path

import click

from harness.report.kinds import described, every
from wdm import ui
from wdm.exits import OK
from wdm.options import as_json, common, runs_folder

COLUMNS = ("run", "kind", "verdict", "scenario", "protocol", "seed")


@click.command()
@common
@runs_folder("Where the run folders are.")
@as_json
def runs(runs_dir: Path, as_json: bool) -> int:
    """List the kept runs, benches and counterexamples of `wdm check`, the oldest first."""
    found = [described(path) for path in every(runs_dir)]
    if as_json:
        ui.document(found)
    else:
        ui.table(COLUMNS, [[one.get(column) for column in COLUMNS] for one in found])
    ui.next_step("`wdm report RUN`, or `wdm serve`" if found else "`wdm chaos`")
    return OK
