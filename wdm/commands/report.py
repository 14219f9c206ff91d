"""``wdm report``: what a run came to."""

from pathlib import Path

import click

from harness.chaos.folder import DEFAULT, LATEST, RunFolder, find
from harness.history import HistoryError, load
from harness.report import text
from harness.report.verdict import examine
from wdm import ui
from wdm.exits import OK, UNKNOWN
from wdm.options import common, option


@click.command()
@common
@click.argument("run", default=LATEST)
@option("--runs-dir", default=DEFAULT, show_default=True, metavar="DIR", help="Where the run folders are.")
def report(run: str, runs_dir: str) -> int:
    """Show the report of RUN: its folder, its name or a part of it; the last run if none is named."""
    folder = RunFolder(find(Path(runs_dir), run))
    if folder.report.is_file():
        click.echo(folder.report.read_text("utf-8"), nl=False)
    else:
        try:
            history = load(folder.history)
        except HistoryError as error:  # it was killed, or the disk was full
            ui.complain(str(error))
            return UNKNOWN
        click.echo(text.render(history, examine(history)), nl=False)
    ui.next_step(f"`wdm check-history {folder.history}` judges it again")
    return OK
