"""The fault `delay`: data on a link arrives later."""

from harness.faults.base import Fault, Setting
from harness.faults.links import LinkFault
from harness.runtimes.base import Rule


class Delay(LinkFault):
    """A delay of each piece of data, request or answer, by `delay_ms` and up to `jitter_ms` more; the order stays."""

    name = "delay"
    summary = "everything on a link arrives late, each way, by delay_ms and up to jitter_ms more"
    settings: tuple[Setting, ...] = (
        Setting("delay_ms", 100.0, "delay each way, in milliseconds", high=60_000),
        Setting("jitter_ms", 50.0, "most additional delay, drawn for each piece of data, in milliseconds", high=60_000),
    )

    def rule(self, fault: Fault) -> Rule:
        return Rule(delay_ms=fault.number("delay_ms"), jitter_ms=fault.number("jitter_ms"))
