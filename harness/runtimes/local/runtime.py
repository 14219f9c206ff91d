"""The local runtime: processes on loopback. See `harness.runtimes.table` for the port."""

import signal
from collections.abc import Mapping
from pathlib import Path

from harness.runtimes.base import Node
from harness.runtimes.deployment import process, run_environment
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import DeploymentRecord
from harness.runtimes.environment import Environment
from harness.runtimes.local.deployment import LocalDeployment
from harness.runtimes.local.platform import LocalPlatform

make_platform = LocalPlatform


def environment(spec: Spec, seed: int, salt: int) -> Environment:
    """Return the environment of a run on processes."""
    del seed, salt  # real time and real processes follow no seed
    return run_environment.environment(LocalDeployment, spec)


def seen(record: DeploymentRecord) -> tuple[Node, ...]:
    """Return the nodes with their present states."""
    return tuple(node.node() for node in record.nodes)


def terminate(record: DeploymentRecord, node: Node) -> None:
    """Send SIGTERM to the process of a node, if it is the one that was seen."""
    for recorded in record.nodes:
        if recorded.name == node.name and recorded.identity is not None:
            process.send(recorded.identity, signal.SIGTERM)


def end(record: DeploymentRecord) -> list[str]:
    """End the processes of a deployment, recorded or not; return their names. Blocks."""
    recorded = dict.fromkeys(node.identity for node in record.nodes if node.identity is not None)
    ended = process.end([*recorded, *(tagged for tagged in process.tagged(record.tag) if tagged not in recorded)])
    return [f"process {identity.pid}" for identity in ended]


def remove_data(folder: Path) -> list[str]:
    """Return an empty list: all data is inside the folder."""
    del folder
    return []


def abandoned() -> Mapping[Path, str]:
    """Return an empty mapping: every process belongs to a state folder."""
    return {}


def orphaned(record: DeploymentRecord) -> str:
    """Return a phrase for the processes that still run without a supervisor; empty if none does."""
    names = {node.identity: node.name for node in record.nodes}
    alive = [name for identity, name in names.items() if identity is not None and process.alive(identity)]
    others = sum(identity not in names for identity in process.tagged(record.tag))
    if not alive and not others:
        return ""
    return f"processes ({', '.join([*alive, *([f'{others} more'] if others else [])])})"
