"""A service's clock is wrong."""

from random import Random

from harness.faults.base import Fault, Setting
from harness.faults.inside import Inside
from harness.runtimes.base import Capability
from protocols.service.faults import DAY_MS, Faults


class Skew(Inside):
    """The wall clock jumps at the start and back at the end; time-outs run on a clock of their own and are not touched."""

    name = "skew"
    summary = "a service's clock is offset_ms ahead (or, negative, behind)"
    needs: frozenset[Capability] = frozenset({"clock"})
    settings: tuple[Setting, ...] = (Setting("offset_ms", 5_000, "how far ahead", low=-DAY_MS, high=DAY_MS),)

    def orders(self, fault: Fault, rng: Random) -> Faults:  # noqa: ARG002
        return Faults(skew_ms=int(fault.number("offset_ms")))
