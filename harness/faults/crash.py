"""The fault `crash`: a node dies without notice and comes back."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.nodes import bring_back, kill, take_down, untaken, until_none
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability

ALL_SERVE = "all-serve"


class Crash:
    """A SIGKILL. With `for_s` the node stays down for that long; without, it is started again as after any other death.

    With `when` `all-serve` it waits until every node serves, so that no two nodes are away at once, however slowly they start.
    """

    name = "crash"
    summary = "a node is killed (SIGKILL) and started again, after for_s or as the deployment does"
    aim: Aim = "nodes"
    needs: frozenset[Capability] = frozenset({"signals"})
    default: tuple[str, ...] = ("any",)
    settings: tuple[Setting, ...] = (
        Setting(
            "when", "at-once", "at-once, or all-serve: not before every node serves", choices=("at-once", ALL_SERVE)
        ),
    )

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        named = (target for target in fault.targets if target not in DRAWN)
        return untaken("kill", nodes(runtime, self.aim, named))

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:  # noqa: ARG002
        if fault.text("when") == ALL_SERVE:
            await until_none(lambda: [node.name for node in runtime.nodes() if node.state != "running"])
        victims = nodes(runtime, self.aim, fault.targets)
        if fault.for_s:
            return take_down(runtime, fault, victims)
        return kill(runtime, victims)

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        bring_back(runtime, fault)
