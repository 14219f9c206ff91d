"""Messages overtake each other."""

from random import Random

from harness.faults.base import Fault, Setting
from harness.faults.inside import Inside
from harness.runtimes.base import Capability
from protocols.service.faults import Faults


class Reorder(Inside):
    """Where it is sent: some messages are held back for up to ``hold_ms``, and later ones leave before them."""

    name = "reorder"
    summary = "messages that a service sends overtake each other"
    needs: frozenset[Capability] = frozenset({"messages"})
    default: tuple[str, ...] = ("services",)
    settings: tuple[Setting, ...] = (
        Setting("probability", 0.2, "for each message", high=1),
        Setting("hold_ms", 50.0, "it leaves at most so much later", high=60_000),
    )

    def orders(self, fault: Fault, rng: Random) -> Faults:
        probability, hold_ms = fault.number("probability"), fault.number("hold_ms")
        return Faults(reorder=probability, hold_ms=hold_ms, seed=rng.getrandbits(32))
