"""``wdm runs``: the runs that were kept."""

import json
from pathlib import Path
from typing import Any

import click

from harness.chaos.folder import DEFAULT, RunFolder, every
from wdm import ui
from wdm.exits import OK
from wdm.options import as_json, common, option

COLUMNS = ("run", "verdict", "scenario", "protocol", "seed")


@click.command()
@common
@option("--runs-dir", default=DEFAULT, show_default=True, metavar="DIR", help="Where the run folders are.")
@as_json
def runs(runs_dir: str, as_json: bool) -> int:
    """List the kept runs, the oldest first."""
    found = [_described(RunFolder(path)) for path in every(Path(runs_dir))]
    if as_json:
        ui.document(found)
    else:
        ui.table(COLUMNS, [[one.get(column) for column in COLUMNS] for one in found])
    ui.next_step("`wdm report RUN`" if found else "`wdm chaos`")
    return OK


def _described(folder: RunFolder) -> dict[str, Any]:
    """One without results was killed, or its disk was full."""
    try:
        said = json.loads(folder.results.read_text("utf-8"))
    except (OSError, ValueError):
        said = {"verdict": "none"}
    return {"run": folder.path.name, **{key: said.get(key) for key in COLUMNS[1:]}, "folder": str(folder.path)}
