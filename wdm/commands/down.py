"""`wdm down`: stop one shop, or every shop of this user, with or without a supervisor."""

from collections.abc import Callable

import click

from harness.errors import EnvironmentFailure
from harness.runtimes import leftovers
from harness.runtimes.deployment.control import all_folders, take_down
from harness.runtimes.deployment.state import StateFolder
from harness.runtimes.docker import compose, resources
from wdm import ui
from wdm.options import deployment, hint


@click.command()
@deployment
@click.option("--all", "everywhere", is_flag=True, help="Stop every deployment of this user, in any state folder.")
@click.option(
    "--volumes",
    is_flag=True,
    help="Remove the volumes of its containers as well; local data stays in the state folder.",
)
def down(folder: StateFolder, everywhere: bool, volumes: bool) -> int:
    """Stop a shop and keep its data and logs.

    No process, container or network remains, also after a `wdm up` that was killed. With --all, labels identify containers and
    networks, and temporary folders are identified by the process that made them, also those of a `wdm chaos` that was killed.
    """
    folders = {folder.path: folder}
    if everywhere:
        folders |= {path: StateFolder(path) for path in all_folders()}
    failures = [failure for state_folder in folders.values() if (failure := _stop(state_folder, volumes)) is not None]
    if everywhere:
        failures += [
            *_remove_strays(lambda: resources.remove_all(volumes=volumes)),
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
    """Remove containers, networks and folders without an owner. Returns the reasons for those that remain."""
    try:
        removed = remove()
    except EnvironmentFailure as error:
        return [str(error)]
    if removed:
        ui.progress(f"removed {', '.join(removed)}")
    return []


def _stop(folder: StateFolder, volumes: bool) -> str | None:
    """Stop one deployment. Returns the reason for a failure, so that the other deployments are stopped as well."""
    try:
        stopped = take_down(folder, volumes=volumes)
    except EnvironmentFailure as error:
        return str(error)
    ui.progress(f"{folder.path}: stopped {', '.join(stopped)}" if stopped else f"{folder.path}: nothing was running")
    return None
