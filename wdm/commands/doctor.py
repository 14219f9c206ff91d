"""``wdm doctor``: can this machine run a shop, and if not, what is to be done?"""

from dataclasses import asdict

import click

from harness.doctor import examine
from harness.runtimes.local.state import StateFolder
from wdm import ui
from wdm.exits import ENVIRONMENT, OK
from wdm.options import as_json, deployment, option
from wdm.parameters import Whole


@click.command()
@deployment
@option("--port", type=Whole(0, 65_535), default=8000, show_default=True, help="As for `wdm up`.")
@as_json
def doctor(folder: StateFolder, port: int, as_json: bool) -> int:
    """Look at this machine: exit code 0 if the local runtime can run here, and what to do if not."""
    ui.name_leftovers()
    found = examine(port, folder.path)
    fine = not any(one.state == "missing" for one in found)
    if as_json:
        ui.document([asdict(one) for one in found])
    else:
        ui.table(("what", "state", "found"), [(one.what, one.state, one.found) for one in found])
    ui.next_step("`wdm up`" if fine else "mend what is missing, then `wdm doctor` again")
    return OK if fine else ENVIRONMENT
