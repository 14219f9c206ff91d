"""Connections break while something is on its way: the request is lost, or it was done and the answer is lost."""

from harness.faults.base import Fault, Setting
from harness.faults.links import OnLinks
from harness.runtimes.base import Rule


class Loss(OnLinks):
    """TCP loses nothing without breaking the connection, so a loss is a reset that both ends see."""

    name = "loss"
    summary = "connections are reset, with a probability for each piece of data"
    settings: tuple[Setting, ...] = (Setting("probability", 0.05, "for each piece of data, either way", high=1),)

    def rule(self, fault: Fault) -> Rule:
        return Rule(reset=fault.number("probability"))
