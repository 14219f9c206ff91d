"""A deployment seen from another process: its nodes, its troubles, and its end."""

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
    """A deployment as another process finds it.

    `supervised` is False when the supervisor was killed: nodes may still run, but none of them is started again.
    `troubles`: one line for each deviation from a deployment that works.
    """

    deployment: DeploymentRecord
    nodes: tuple[Node, ...]
    supervised: bool
    troubles: tuple[str, ...] = ()


def view(folder: StateFolder) -> DeploymentView | None:
    """Return the deployment of this folder; None if none was started, or it was stopped.

    Raises `EnvironmentFailure` for a status file that cannot be read.
    """
    deployment = folder.read()
    if deployment is None:
        return None
    nodes = table.deployable(deployment.runtime).seen(deployment)
    supervisor = folder.supervisor()
    troubles = (*_supervisor_troubles(folder, supervisor), *_node_troubles(nodes))
    return DeploymentView(deployment, nodes, supervisor is not None, troubles)


def _supervisor_troubles(folder: StateFolder, supervisor: Identity | None) -> Iterable[str]:
    if supervisor is None:
        yield "the supervisor of these nodes was killed"
    elif process.paused(supervisor):
        yield f"the supervisor of these nodes, process {supervisor.pid}, is paused (SIGSTOP)"
    elif (silent_s := folder.silent_s()) > SILENT_S:
        yield f"the supervisor, process {supervisor.pid}, has not responded for {silent_s:.0f} s"


def _node_troubles(nodes: Iterable[Node]) -> Iterable[str]:
    return (f"{node.name} is {node.state}" for node in nodes if node.state != "running")


def take_down(folder: StateFolder, *, volumes: bool = False) -> list[str]:
    """Stop the deployment of this folder, supervised or not. Return one line for each node that ran; empty if none did.

    With `volumes`, the data of its containers goes as well. Blocks. Raises `EnvironmentFailure` in its own supervisor.
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
    """End the rest of a deployment whose supervisor is gone; return the names. Blocks.

    The caller makes sure that no supervisor works in this folder: it would start the nodes again.
    """
    deployment = folder.read()
    if deployment is None:
        return []
    return table.deployable(deployment.runtime).end(deployment)


def all_folders() -> Iterable[Path]:
    """Return every state folder of this user that has, or had, a deployment."""
    return registry.known()


def _stop_supervisor(folder: StateFolder, supervisor: Identity) -> None:
    process.send(supervisor, signal.SIGTERM)
    process.send(supervisor, signal.SIGCONT)  # a paused process handles SIGTERM only after SIGCONT
    deadline = time.monotonic() + STOP_WITHIN_S
    while folder.supervisor() == supervisor:
        if time.monotonic() > deadline:
            process.send(supervisor, signal.SIGKILL)
            deadline = time.monotonic() + STOP_WITHIN_S
        time.sleep(POLL_S)
