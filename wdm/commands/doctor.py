"""`wdm doctor`: the requirements of a shop, checked on this machine."""

from dataclasses import asdict

import click

from harness.doctor import examine
from harness.runtimes.deployment.state import StateFolder
from wdm import ui
from wdm.exits import ENVIRONMENT, OK
from wdm.options import as_json, deployment, option
from wdm.parameters import Whole


@click.command()
@deployment
@option(
    "--port",
    type=Whole(0, 65_535),
    default=8000,
    show_default=True,
    help="Port of the gateway that `wdm up` would use.",
)
@as_json
def doctor(folder: StateFolder, port: int, as_json: bool) -> int:
    """Check whether this machine can run a shop.

    Each missing requirement comes with the command that provides it. Exit code 0: the local runtime can run here; 4: it cannot.
    """
    ui.name_leftovers()
    requirements = examine(port, folder.path)
    fine = not any(requirement.state == "missing" for requirement in requirements)
    if as_json:
        ui.document([asdict(requirement) for requirement in requirements])
    else:
        ui.table(
            ("what", "state", "found"),
            [(requirement.what, requirement.state, requirement.found) for requirement in requirements],
        )
    ui.next_step("`wdm up`" if fine else "install the missing requirements, then run `wdm doctor` again")
    return OK if fine else ENVIRONMENT
