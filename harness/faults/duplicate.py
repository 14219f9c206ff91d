"""The fault `duplicate`: a message arrives twice, the second time later."""

from random import Random

from harness.faults.base import Fault, Setting
from harness.faults.service_fault import ServiceFault
from harness.runtimes.base import Capability
from protocols.service.faults import Faults


class Duplicate(ServiceFault):
    """A copy of a message, which leaves its sender within `hold_ms`, maybe after later messages and to another instance."""

    name = "duplicate"
    summary = "messages that a service sends arrive twice"
    needs: frozenset[Capability] = frozenset({"messages"})
    default: tuple[str, ...] = ("services",)
    settings: tuple[Setting, ...] = (
        Setting("probability", 0.2, "probability of a copy, for each message", high=1),
        Setting("hold_ms", 50.0, "most delay of the copy, in milliseconds", high=60_000),
    )

    def process_faults(self, fault: Fault, rng: Random) -> Faults:
        probability, hold_ms = fault.number("probability"), fault.number("hold_ms")
        return Faults(duplicate=probability, hold_ms=hold_ms, seed=rng.getrandbits(32))
