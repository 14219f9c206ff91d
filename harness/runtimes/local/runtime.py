"""The local runtime: processes on loopback. See `harness.runtimes.table` for the port."""

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
    del seed, salt  # real time and real processes follow no seed
    return run_environment.environment(LocalDeployment, spec)


def seen(record: DeploymentRecord) -> tuple[Node, ...]:
    return tuple(node.node() for node in record.nodes)


def end(record: DeploymentRecord) -> list[str]:
    found = dict.fromkeys(node.identity for node in record.nodes if node.identity is not None)
    ended = process.end([*found, *(one for one in process.tagged(record.tag) if one not in found)])
    return [f"process {identity.pid}" for identity in ended]


def remove_data(folder: Path) -> list[str]:
    del folder  # all data is inside it
    return []


def abandoned() -> Mapping[Path, str]:
    return {}


def orphaned(record: DeploymentRecord) -> str:
    names = {node.identity: node.name for node in record.nodes}
    alive = [name for identity, name in names.items() if identity is not None and process.alive(identity)]
    others = sum(identity not in names for identity in process.tagged(record.tag))
    if not alive and not others:
        return ""
    return f"processes ({', '.join([*alive, *([f'{others} more'] if others else [])])})"
