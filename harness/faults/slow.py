"""A link with little bandwidth, shared by its connections."""

from harness.faults.base import Fault, Setting
from harness.faults.links import OnLinks
from harness.runtimes.base import Rule


class Slow(OnLinks):
    name = "slow"
    summary = "a link carries only bytes_per_s each way"
    settings: tuple[Setting, ...] = (
        Setting("bytes_per_s", 20_000.0, "each way, all connections of the link together", low=100),
    )

    def rule(self, fault: Fault) -> Rule:
        return Rule(bytes_per_s=fault.number("bytes_per_s"))
