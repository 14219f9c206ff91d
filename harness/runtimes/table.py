"""The runtimes, one row each. A module is imported when its runtime is chosen: the others cost no time.

To add a runtime: a folder with a `runtime.py` that has the functions of `RuntimeModule`, and a row here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from protocols.errors import UsageError

if TYPE_CHECKING:
    from harness.runtimes.base import Node
    from harness.runtimes.deployment.platform import Platform
    from harness.runtimes.deployment.spec import Spec
    from harness.runtimes.deployment.state import DeploymentRecord, StateFolder
    from harness.runtimes.environment import Environment

SIMULATED = "sim"


class RuntimeModule(Protocol):
    """The functions of every `runtime.py`."""

    def environment(self, spec: "Spec", seed: int, salt: int) -> "Environment":
        """Return the environment of one run; no node runs yet."""


class DeploymentModule(RuntimeModule, Protocol):
    """The further functions of a runtime whose shops outlive the command that started them."""

    def make_platform(
        self, spec: "Spec", folder: "StateFolder", say: Callable[[str], None], *, volatile: bool
    ) -> "Platform":
        """Return the platform of a deployment. `volatile`: the data of its stores is removed with it."""

    def seen(self, record: "DeploymentRecord") -> "tuple[Node, ...]":
        """Return the nodes of another process's deployment with their present states."""

    def terminate(self, record: "DeploymentRecord", node: "Node") -> None:
        """Send SIGTERM to a node of another process's deployment; a node that has ended is no error."""

    def end(self, record: "DeploymentRecord") -> list[str]:
        """End the rest of a deployment whose supervisor is gone; return the names. Blocks."""

    def remove_data(self, folder: Path) -> list[str]:
        """Remove the data that deployments of a state folder have outside of it; return the names."""

    def abandoned(self) -> Mapping[Path, str]:
        """Return a phrase for the leftovers that no state folder lists, by the folder of their deployment."""

    def orphaned(self, record: "DeploymentRecord") -> str:
        """Return a phrase for the nodes of a deployment that run without a supervisor; empty if none does."""


@dataclass(frozen=True, slots=True)
class Row:
    """A runtime. `deploys`: `wdm up` can leave a shop of it running. `complete`: its nodes bring libraries and stores."""

    summary: str
    module: str
    deploys: bool = True
    complete: bool = False


RUNTIMES: Mapping[str, Row] = {
    SIMULATED: Row("virtual time in one process", "harness.runtimes.sim.runtime", deploys=False),
    "local": Row("processes on loopback", "harness.runtimes.local.runtime"),
    "docker": Row("containers of a Docker engine", "harness.runtimes.docker.runtime", complete=True),
}

DEPLOYABLE = tuple(name for name, row in RUNTIMES.items() if row.deploys)


def runtime(name: str) -> RuntimeModule:
    """Import the module of a runtime. Raises `UsageError` listing the runtimes."""
    if name not in RUNTIMES:
        raise UsageError(f"no runtime {name!r}; there are: {', '.join(RUNTIMES)}")
    return cast("RuntimeModule", import_module(RUNTIMES[name].module))


def deployable(name: str) -> DeploymentModule:
    """Import the module of a runtime whose shops outlive a command. Raises `UsageError` for any other name."""
    if name not in DEPLOYABLE:
        raise UsageError(f"no runtime {name!r} for a deployment; there are: {', '.join(DEPLOYABLE)}")
    return cast("DeploymentModule", import_module(RUNTIMES[name].module))


def all_deployable() -> Iterable[DeploymentModule]:
    """Import the modules of all runtimes whose shops outlive a command."""
    return (deployable(name) for name in DEPLOYABLE)
