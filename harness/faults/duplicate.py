"""A message arrives twice, the second time later."""

from random import Random

from harness.faults.base import Fault, Setting
from harness.faults.inside import Inside
from harness.runtimes.base import Capability
from protocols.service.faults import Faults


class Duplicate(Inside):
    """Where it is sent: a copy leaves within ``hold_ms``, maybe after later messages and to another instance."""

    name = "duplicate"
    summary = "messages that a service sends arrive twice"
    needs: frozenset[Capability] = frozenset({"messages"})
    default: tuple[str, ...] = ("services",)
    settings: tuple[Setting, ...] = (
        Setting("probability", 0.2, "for each message", high=1),
        Setting("hold_ms", 50.0, "the copy leaves at most so much later", high=60_000),
    )

    def orders(self, fault: Fault, rng: Random) -> Faults:
        probability, hold_ms = fault.number("probability"), fault.number("hold_ms")
        return Faults(duplicate=probability, hold_ms=hold_ms, seed=rng.getrandbits(32))
