"""The fault `slow`: a link with little bandwidth."""

from harness.faults.base import Fault, Setting
from harness.faults.links import LinkFault
from harness.runtimes.base import Rule


class Slow(LinkFault):
    """A bandwidth for each direction of a link, which all its connections share."""

    name = "slow"
    summary = "a link carries only bytes_per_s each way"
    settings: tuple[Setting, ...] = (
        Setting("bytes_per_s", 20_000.0, "bytes a second each way, for all connections of the link together", low=100),
    )

    def rule(self, fault: Fault) -> Rule:
        return Rule(bytes_per_s=fault.number("bytes_per_s"))
