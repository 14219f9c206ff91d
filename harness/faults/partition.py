"""The fault `partition`: the network between nodes is cut without notice to either side."""

from harness.faults.base import Fault, Setting
from harness.faults.links import LinkFault
from harness.runtimes.base import Breakable, Rule


class Partition(LinkFault):
    """A cut of links: connections stall, and new ones hang.

    After the heal the data on its way arrives late; or every connection is reset, as after a long cut or through a firewall
    that has dropped its state.
    """

    name = "partition"
    summary = "links are cut: connections stall, new ones hang; a<->b both ways, a node alone: from all others"
    settings: tuple[Setting, ...] = (
        Setting(
            "heal",
            "flow",
            "messages on their way arrive late, or their connections are reset",
            choices=("flow", "reset"),
        ),
    )

    def rule(self, fault: Fault) -> Rule:  # noqa: ARG002
        return Rule(cut=True)

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        runtime.remove_rules(fault, reset=fault.text("heal") == "reset")
