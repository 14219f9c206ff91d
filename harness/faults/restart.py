"""The fault `restart`: a service process or a gateway ends in the regular way and is started again."""

from contextlib import suppress
from random import Random

from harness.errors import EnvironmentFailure
from harness.faults.base import Aim, Fault, Setting
from harness.faults.nodes import until_none
from harness.faults.targets import nodes
from harness.runtimes.base import Breakable, Capability, Node


class Restart:
    """A SIGTERM: the process refuses new requests, answers those under way, and ends; it is started again at once.

    A restart waits until every node serves, so that no two of them coincide. With `for_s` it ends once the node serves again,
    `for_s` after its start at the earliest; without, the deployment starts the node again.
    """

    name = "restart"
    summary = (
        "a service or gateway is ended (SIGTERM) after the requests under way, and started again, when all others serve"
    )
    aim: Aim = "drained"
    needs: frozenset[Capability] = frozenset({"drain"})
    default: tuple[str, ...] = ("any",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:  # noqa: ARG002
        return None

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:  # noqa: ARG002
        await until_none(lambda: [node.name for node in runtime.nodes() if not _serves(runtime, node)])
        for node in nodes(runtime, self.aim, fault.targets):
            runtime.holds.take(_life(node), fault)
            with suppress(EnvironmentFailure):  # it is dying
                runtime.terminate(node.name)
        return ""

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        def missing() -> list[str]:
            restarted = nodes(runtime, self.aim, fault.targets)
            for node in restarted:
                if node.state == "down":
                    runtime.revive(node.name)
            return [node.name for node in restarted if not _serves(runtime, node)]

        await until_none(missing)


def _serves(runtime: Breakable, node: Node) -> bool:
    """Return whether a node runs, and not in a life that is about to end."""
    return node.state == "running" and not runtime.holds.held(_life(node))


def _life(node: Node) -> str:
    return f"life {node.pid} of {node.name}"
