"""Shrinking of a failing run: a smaller plan, with fewer faults and less load, that still fails the same way.

Shrinking runs in the simulator only, where the same plan always has the same execution. A fault that is left out changes
the execution after it, so each smaller plan has several tries, each with another salt. The order in which
faults are left out is that of Zeller and Hildebrandt, "Simplifying and isolating failure-inducing input", TSE 28(2),
2002 (`ddmin`).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec

from harness.faults import Fault
from harness.run import in_memory
from harness.run.in_memory import InMemoryRun
from harness.run.plan import Plan

SALTS = 6
MORE_SALTS = 20
"""The number of tries of a plan with fewer than `FEW` faults: a failure that needs each of them is rarer."""

FEW = 10
BUDGET_S = 60.0
LOADS_S = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0)
CLIENTS = (1, 2, 3)


class Shrinker:
    """The search for a smaller plan than `plan`, whose run is `failed`, for at most `budget_s` seconds."""

    def __init__(
        self, plan: Plan, failed: InMemoryRun, budget_s: float = BUDGET_S, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._names = failed.names
        self._best = replace(plan, schedule=failed.schedule)
        self._until = time.monotonic() + budget_s
        self._say = say
        self.tried = 0

    def run(self) -> Plan:
        """Return the smallest failing plan of the search."""
        # A shorter run comes first, because every later try then takes less time.
        self._first_that_fails(self._shorter())
        self._fewer_faults()
        self._first_that_fails(self._only_one())
        self._first_that_fails(self._shorter())
        self._first_that_fails(self._fewer_clients())
        self._fewer_faults()
        return self._best

    # ------------------------------------------------------------ what is left out

    def _fewer_faults(self) -> None:
        """Leave out parts of the schedule, larger parts first (`ddmin`)."""
        parts = 2
        # `ddmin` tries each part alone before its complement; here `_only_one` tries single faults once, which is cheaper.
        # The bound lets a round of single faults pass before the end. The result then is 1-minimal as far as the tries
        # show: no single fault can be left out.
        while (faults := self._faults()) and parts <= 2 * len(faults):
            if self._first_that_fails(self._without(faults, min(parts, len(faults)))):
                self._say(f"{len(self._faults())} faults")
                # The rest keeps its granularity, one part less: coarser parts were tried before, without success.
                parts = max(parts - 1, 2)
            else:
                parts *= 2

    def _only_one(self) -> Iterator[Plan]:
        """Yield a plan for each single fault: `ddmin` can end in a local minimum of several faults."""
        faults = self._faults()
        if 1 < len(faults) < FEW:
            yield from (replace(self._best, schedule=(fault,)) for fault in faults)

    def _without(self, faults: tuple[Fault, ...], parts: int) -> Iterator[Plan]:
        """Yield the plan without each of `parts` equal parts of `faults`."""
        size = -(-len(faults) // parts)
        for first in range(0, len(faults), size):
            yield replace(self._best, schedule=faults[:first] + faults[first + size :])

    def _shorter(self) -> Iterator[Plan]:
        """Yield plans of a shorter load, without the faults after its end."""
        scenario = self._best.scenario
        for load_s in LOADS_S:
            if load_s < scenario.duration_s:
                earlier = tuple(fault for fault in self._faults() if fault.at_s < load_s)
                yield replace(self._best, scenario=replace(scenario, duration_s=load_s), schedule=earlier)

    def _fewer_clients(self) -> Iterator[Plan]:
        """Yield plans of fewer clients at the same rate a client."""
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
        """Keep the first plan that fails the same way. Return False if none does."""
        for plan in plans:
            salts = MORE_SALTS if len(plan.schedule or ()) < FEW else SALTS
            # A run without a violation proves nothing about the plan: another salt draws other delays.
            for salt in dict.fromkeys((self._best.salt, *range(salts))):
                if time.monotonic() > self._until:
                    return False
                salted = replace(plan, salt=salt)
                self.tried += 1
                # Another violation could stem from another fault of the code, which the user did not see.
                if self._names & in_memory.run(salted).names:
                    self._best = salted
                    return True
        return False

    def _faults(self) -> tuple[Fault, ...]:
        return self._best.schedule or ()
