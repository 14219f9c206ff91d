"""The leftovers of a killed command that its watchdog could not remove: listed, and removed on request."""

import shutil
from collections.abc import Container, Iterator
from pathlib import Path

from harness.errors import EnvironmentFailure
from harness.runtimes import table
from harness.runtimes.deployment import registry, temporary
from harness.runtimes.deployment.control import end_leftovers
from harness.runtimes.deployment.state import StateFolder

REMOVE = "wdm down --all"


def describe_all() -> list[str]:
    """Return a phrase for each leftover, in a fixed order."""
    abandoned = {path: phrase for runtime in table.all_deployable() for path, phrase in runtime.abandoned().items()}
    return [
        *_deployments(abandoned),
        *abandoned.values(),
        *(f"the temporary folder {path}" for path in temporary.abandoned()),
    ]


def remove_folders() -> list[str]:
    """End the nodes in abandoned temporary folders and remove these; return their names. Raises `EnvironmentFailure`."""
    removed = []
    for path in temporary.abandoned():
        folder = StateFolder(path)
        end_leftovers(folder)
        folder.erase()
        shutil.rmtree(path, ignore_errors=True)
        removed.append(f"folder {path}")
    return removed


def _deployments(but: Container[Path]) -> Iterator[str]:
    for path in registry.known():
        if path in but:
            continue
        folder = StateFolder(path)
        try:
            deployment = folder.read() if folder.supervisor() is None else None
        except EnvironmentFailure:
            continue  # `wdm status` in that folder names the error
        if deployment is None:
            continue
        if phrase := table.deployable(deployment.runtime).orphaned(deployment):
            yield f"{phrase} without a supervisor in {path}"
