"""The fault `reorder`: messages overtake each other."""

from random import Random

from harness.faults.base import Fault, Setting
from harness.faults.service_fault import ServiceFault
from harness.runtimes.base import Capability
from protocols.service.faults import Faults


class Reorder(ServiceFault):
    """A sender that holds some messages back for up to `hold_ms`, so that later ones leave before them."""

    name = "reorder"
    summary = "messages that a service sends overtake each other"
    needs: frozenset[Capability] = frozenset({"messages"})
    default: tuple[str, ...] = ("services",)
    settings: tuple[Setting, ...] = (
        Setting("probability", 0.2, "probability of a delay, for each message", high=1),
        Setting("hold_ms", 50.0, "most delay of the message, in milliseconds", high=60_000),
    )

    def process_faults(self, fault: Fault, rng: Random) -> Faults:
        probability, hold_ms = fault.number("probability"), fault.number("hold_ms")
        return Faults(reorder=probability, hold_ms=hold_ms, seed=rng.getrandbits(32))
