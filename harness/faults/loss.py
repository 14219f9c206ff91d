"""The fault `loss`: connections break with data on their way, so that a request is lost, or the answer to a handled one."""

from harness.faults.base import Fault, Setting
from harness.faults.links import LinkFault
from harness.runtimes.base import Rule


class Loss(LinkFault):
    """A reset that both ends see, because TCP loses no data without breaking the connection."""

    name = "loss"
    summary = "connections are reset, with a probability for each piece of data"
    settings: tuple[Setting, ...] = (
        Setting("probability", 0.05, "probability of a reset, for each piece of data either way", high=1),
    )

    def rule(self, fault: Fault) -> Rule:
        return Rule(reset=fault.number("probability"))
