"""The fault `skew`: the clock of a service is wrong."""

from random import Random

from harness.faults.base import Fault, Setting
from harness.faults.service_fault import ServiceFault
from harness.runtimes.base import Capability
from protocols.service.faults import DAY_MS, Faults


class Skew(ServiceFault):
    """A jump of the wall clock at the start, and back at the end. Time-outs run on the monotonic clock, which stays right."""

    name = "skew"
    summary = "a service's clock is offset_ms ahead (or, negative, behind)"
    needs: frozenset[Capability] = frozenset({"clock"})
    settings: tuple[Setting, ...] = (
        Setting("offset_ms", 5_000, "milliseconds by which the clock is ahead", low=-DAY_MS, high=DAY_MS),
    )

    def process_faults(self, fault: Fault, rng: Random) -> Faults:  # noqa: ARG002
        return Faults(skew_ms=int(fault.number("offset_ms")))
