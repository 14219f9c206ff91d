"""``wdm down``: stop a shop, or every shop, whoever looks after it."""

from collections.abc import Callable

import click

from harness import leftovers
from harness.errors import EnvironmentFailure
from harness.runtimes.docker import compose, ours
from harness.runtimes.local.control import all_folders, take_down
from harness.runtimes.local.state import StateFolder
from wdm import ui
from wdm.options import deployment, hint


@click.command()
@deployment
@click.option("--all", "everywhere", is_flag=True, help="Every deployment of this user, in whatever state folder.")
@click.option("--volumes", is_flag=True, help="With the data of its containers; the local runtime's is in the folder.")
def down(folder: StateFolder, everywhere: bool, volumes: bool) -> int:
    """Stop a shop and leave no process, container or network behind. Its data and logs are kept.

    Also ends what a killed `wdm up` left running. With --all, containers and networks are found by their labels, and temporary
    folders by the process that made them, also those of a `wdm chaos` that was killed.
    """
    folders = {folder.path: folder}
    if everywhere:
        folders |= {path: StateFolder(path) for path in all_folders()}
    failures = [failure for one in folders.values() if (failure := _stop(one, volumes)) is not None]
    if everywhere:
        failures += [
            *_remove_strays(lambda: ours.remove_all(volumes=volumes)),
            *_remove_strays(leftovers.remove_folders),
        ]
    if failures:
        raise EnvironmentFailure("; ".join(failures))
    ui.name_leftovers()
    in_volumes = not volumes and (folder.path / compose.OVERRIDE).exists()
    remove = f"wdm down{hint(folder)} --volumes" if in_volumes else f"rm -r {folder.path}"
    ui.next_step(f"`wdm up{hint(folder)}` starts it again, `{remove}` removes its data")
    return 0


def _remove_strays(remove: Callable[[], list[str]]) -> list[str]:
    """Containers and networks that no folder knows of, and folders without an owner. Why some could not be removed, if so."""
    try:
        removed = remove()
    except EnvironmentFailure as error:
        return [str(error)]
    if removed:
        ui.say(f"removed {', '.join(removed)}")
    return []


def _stop(folder: StateFolder, volumes: bool) -> str | None:
    """Why it could not be stopped, if so: one that resists must not keep the others running."""
    try:
        stopped = take_down(folder, volumes=volumes)
    except EnvironmentFailure as error:
        return str(error)
    ui.say(f"{folder.path}: stopped {', '.join(stopped)}" if stopped else f"{folder.path}: nothing was running")
    return None
