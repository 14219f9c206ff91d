"""The smallest run that still fails: fewer faults, less load, one after the other left out for as long as it fails the same way.

In the simulator only, where the same plan always takes the same course. What is left out changes the course of all that
follows, so each smaller plan has several tries, with another salt each. Zeller and Hildebrandt, "Simplifying and
isolating failure-inducing input", TSE 28(2), 2002, section 3, for the order in which faults are left out.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec

from harness.faults import Fault
from harness.run import in_memory
from harness.run.in_memory import Single
from harness.run.plan import Plan

SALTS = 6
MORE_SALTS = 20  # where few faults are left, and each of them counts
FEW = 10
BUDGET_S = 60.0
LOADS_S = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0)
CLIENTS = (1, 2, 3)


class Shrinker:
    """Makes `plan`, which failed as `failed` says, smaller and smaller until `budget_s` is over or nothing helps."""

    def __init__(
        self, plan: Plan, failed: Single, budget_s: float = BUDGET_S, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._names = failed.names
        self._best = replace(plan, schedule=failed.schedule)
        self._until = time.monotonic() + budget_s
        self._say = say
        self.tried = 0

    def run(self) -> Plan:
        """The smallest plan found. Shorter runs first: whatever follows takes less time with them."""
        self._first_that_fails(self._shorter())
        self._fewer_faults()
        self._first_that_fails(self._only_one())
        self._first_that_fails(self._shorter())
        self._first_that_fails(self._fewer_clients())
        self._fewer_faults()
        return self._best

    # ------------------------------------------------------------ what is left out

    def _fewer_faults(self) -> None:
        parts = 2
        while (faults := self._faults()) and parts <= 2 * len(faults):
            if self._first_that_fails(self._without(faults, min(parts, len(faults)))):
                self._say(f"{len(self._faults())} faults")
                parts = max(parts - 1, 2)
            else:
                parts *= 2

    def _only_one(self) -> Iterator[Plan]:
        faults = self._faults()
        if 1 < len(faults) < FEW:
            yield from (replace(self._best, schedule=(fault,)) for fault in faults)

    def _without(self, faults: tuple[Fault, ...], parts: int) -> Iterator[Plan]:
        """Without each of so many parts; those with fewer faults first."""
        size = -(-len(faults) // parts)
        for first in range(0, len(faults), size):
            yield replace(self._best, schedule=faults[:first] + faults[first + size :])

    def _shorter(self) -> Iterator[Plan]:
        scenario = self._best.scenario
        for load_s in LOADS_S:
            if load_s < scenario.duration_s:
                kept = tuple(fault for fault in self._faults() if fault.at_s < load_s)
                yield replace(self._best, scenario=replace(scenario, duration_s=load_s), schedule=kept)

    def _fewer_clients(self) -> Iterator[Plan]:
        scenario = self._best.scenario
        for clients in CLIENTS:
            if clients < scenario.workload.clients:
                share = clients / scenario.workload.clients
                lighter = msgspec.structs.replace(
                    scenario.workload, clients=clients, rate_per_s=scenario.workload.rate_per_s * share
                )
                yield replace(self._best, scenario=replace(scenario, workload=lighter))

    # ------------------------------------------------------------ whether it still fails

    def _first_that_fails(self, plans: Iterator[Plan]) -> bool:
        """Take over the first plan that fails the same way. False if none does."""
        for plan in plans:
            salts = MORE_SALTS if len(plan.schedule or ()) < FEW else SALTS
            for salt in dict.fromkeys((self._best.salt, *range(salts))):
                if time.monotonic() > self._until:
                    return False
                salted = replace(plan, salt=salt)
                self.tried += 1
                if self._names & in_memory.run(salted).names:
                    self._best = salted
                    return True
        return False

    def _faults(self) -> tuple[Fault, ...]:
        return self._best.schedule or ()
