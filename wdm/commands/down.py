"""``wdm down``: stop a shop, or every shop, whoever looks after it."""

import click

from harness.runtimes.base import EnvironmentFailure
from harness.runtimes.local.control import all_folders, take_down
from harness.runtimes.local.state import StateFolder
from wdm import ui
from wdm.options import deployment, hint


@click.command()
@deployment
@click.option("--all", "everywhere", is_flag=True, help="Every deployment of this user, in whatever state folder.")
def down(folder: StateFolder, everywhere: bool) -> int:
    """Stop a shop and leave no process behind. Its data and logs are kept.

    Also ends what a killed `wdm up` left running.
    """
    folders = {folder.path: folder}
    if everywhere:
        folders |= {path: StateFolder(path) for path in all_folders()}
    failures = [failure for one in folders.values() if (failure := _stop(one)) is not None]
    if failures:
        raise EnvironmentFailure("; ".join(failures))
    ui.next_step(f"`wdm up{hint(folder)}` starts it again, `rm -r {folder.path}` removes its data")
    return 0


def _stop(folder: StateFolder) -> str | None:
    """Why it could not be stopped, if so: one that resists must not keep the others running."""
    try:
        stopped = take_down(folder)
    except EnvironmentFailure as error:
        return str(error)
    ui.say(f"{folder.path}: stopped {', '.join(stopped)}" if stopped else f"{folder.path}: nothing was running")
    return None
