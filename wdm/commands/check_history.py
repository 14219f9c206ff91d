"""`wdm check-history`: the verdict of a history file."""

from pathlib import Path

import click

from harness.checkers.verdict import examine
from harness.history import HistoryError, load
from harness.report import results, text
from harness.run.folder import HISTORY
from wdm import ui
from wdm.exits import CODES, UNKNOWN
from wdm.options import as_json, common
from wdm.parameters import Location


@click.command("check-history")
@common
@click.argument("file", type=Location(exists=True))
@as_json
def check_history(file: Path, as_json: bool) -> int:
    """Judge the history of a run again, without a shop.

    FILE is a `history.ndjson` or a run folder. The exit codes are those of `wdm chaos`; a truncated or altered file is never
    judged: exit code 3.
    """
    try:
        history = load(file / HISTORY if file.is_dir() else file)
    except HistoryError as error:
        ui.error(str(error))
        return UNKNOWN
    judgement = examine(history)
    if as_json:
        ui.document(results.render(history, judgement))
    else:
        click.echo(text.render(history, judgement), nl=False)
    ui.next_step("`wdm chaos` makes another one")
    return CODES[judgement.verdict]
