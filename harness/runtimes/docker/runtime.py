"""The docker runtime: containers of a Docker engine. See `harness.runtimes.table` for the port."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.runtimes.base import Node
from harness.runtimes.deployment import run_environment
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.deployment.state import DeploymentRecord
from harness.runtimes.docker import resources
from harness.runtimes.docker.deployment import DockerDeployment
from harness.runtimes.docker.platform import ContainerPlatform
from harness.runtimes.environment import Environment

make_platform = ContainerPlatform
abandoned = resources.abandoned


def environment(spec: Spec, seed: int, salt: int) -> Environment:
    """Return the environment of a run on containers."""
    del seed, salt  # real time and real containers follow no seed
    made = run_environment.environment(DockerDeployment, spec)
    shop = made.runtime
    assert isinstance(shop, DockerDeployment)

    async def costs() -> list[dict[str, Any]]:
        kinds = {node.name: node.kind for node in shop.nodes()}
        return [{**row, "kind": kinds[row["node"]]} for row in shop.usage() if row["node"] in kinds]

    return replace(made, usage=shop.usage, costs=costs)


def seen(record: DeploymentRecord) -> tuple[Node, ...]:
    """Return the nodes with their present states. Raises `EnvironmentFailure`."""
    return resources.seen(record.tag, tuple(node.node() for node in record.nodes))


def terminate(record: DeploymentRecord, node: Node) -> None:
    """Send the container of a node the signal for its regular end. Raises `EnvironmentFailure`."""
    resources.terminate(record.tag, node.name)


def end(record: DeploymentRecord) -> list[str]:
    """Remove the containers and networks; return their names. Blocks. Raises `EnvironmentFailure`."""
    return resources.remove(record.tag)


def remove_data(folder: Path) -> list[str]:
    """Remove the volumes of the folder's deployments, with the rest of these; return the names. Blocks."""
    return resources.remove_all(resources.project(folder), volumes=True)


def orphaned(record: DeploymentRecord) -> str:
    """Return a phrase for the rest of a deployment without a supervisor."""
    del record
    return "a deployment of containers"
