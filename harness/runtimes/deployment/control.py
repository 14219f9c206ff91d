"""A deployment seen from another process: what runs there, and its end."""

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentFailure
from harness.runtimes import table
from harness.runtimes.base import Node
from harness.runtimes.deployment import process, registry
from harness.runtimes.deployment.process import Identity
from harness.runtimes.deployment.state import DeploymentRecord, StateFolder

STOP_WITHIN_S = 10.0
POLL_S = 0.02
SILENT_S = 10.0  # a supervisor shows every second that it works


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """`supervised` is False when the supervisor was killed: nodes may still run, but nobody looks after them.

    `troubles`: each thing that is not as it should be, in words.
    """

    deployment: DeploymentRecord
    nodes: tuple[Node, ...]
    supervised: bool
    troubles: tuple[str, ...] = ()


def view(folder: StateFolder) -> DeploymentView | None:
    """What runs in this folder; None if nothing was started or everything was stopped."""
    deployment = folder.read()
    if deployment is None:
        return None
    nodes = table.deployable(deployment.runtime).seen(deployment)
    supervisor = folder.supervisor()
    troubles = (*_of_the_supervisor(folder, supervisor), *_of_the_nodes(nodes))
    return DeploymentView(deployment, nodes, supervisor is not None, troubles)


def _of_the_supervisor(folder: StateFolder, supervisor: Identity | None) -> Iterable[str]:
    if supervisor is None:
        yield "the supervisor of these nodes was killed"
    elif process.paused(supervisor):
        yield f"the supervisor of these nodes, process {supervisor.pid}, is paused (SIGSTOP)"
    elif (silent_s := folder.silent_s()) > SILENT_S:
        yield f"the supervisor, process {supervisor.pid}, has not responded for {silent_s:.0f} s"


def _of_the_nodes(nodes: Iterable[Node]) -> Iterable[str]:
    return (f"{node.name} is {node.state}" for node in nodes if node.state != "running")


def take_down(folder: StateFolder, *, volumes: bool = False) -> list[str]:
    """Stop what runs in this folder, supervised or not. Returns what was stopped, in words; empty if nothing ran.

    With `volumes`, the data of its containers goes as well.
    """
    stopped = []
    supervisor = folder.supervisor()
    if supervisor is not None:
        deployment = folder.read()
        names = [record.name for record in deployment.nodes] if deployment else []
        if supervisor.pid == os.getpid():
            raise EnvironmentFailure(f"the deployment in {folder.path} is this process's own")
        _stop_supervisor(folder, supervisor)
        stopped = names or ["a deployment that was still starting"]
    stopped += [f"{name}, left behind" for name in end_leftovers(folder)]
    if volumes:
        for runtime in table.all_deployable():
            stopped += runtime.remove_data(folder.path)
    folder.erase()
    return stopped


def end_leftovers(folder: StateFolder) -> list[str]:
    """End what is left of a deployment whose supervisor is gone, and name it. Blocks. Call only when nobody else supervises."""
    deployment = folder.read()
    if deployment is None:
        return []
    return table.deployable(deployment.runtime).end(deployment)


def all_folders() -> Iterable[Path]:
    """Every state folder of this user that has, or had, a deployment."""
    return registry.known()


def _stop_supervisor(folder: StateFolder, supervisor: Identity) -> None:
    process.send(supervisor, signal.SIGTERM)
    process.send(supervisor, signal.SIGCONT)
    deadline = time.monotonic() + STOP_WITHIN_S
    while folder.supervisor() == supervisor:
        if time.monotonic() > deadline:
            process.send(supervisor, signal.SIGKILL)
            deadline = time.monotonic() + STOP_WITHIN_S
        time.sleep(POLL_S)
