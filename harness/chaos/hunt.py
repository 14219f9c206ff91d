"""The number of chaos runs until an ablated safeguard shows as a violation, in the scenarios with the most faults first.

`python -m harness.chaos.hunt [SAFEGUARD ...]` hunts on real processes for some minutes, and prints a line a safeguard.
"""

import sys
from typing import NamedTuple

from harness.run import in_memory, scenarios
from harness.run.in_memory import InMemoryRun
from harness.run.plan import Plan, simulated
from harness.runtimes.table import SIMULATED
from protocols import copies
from protocols.registry import load, names

Grounds = tuple[tuple[str, int], ...]
"""Scenarios in the order of the hunt, with the number of seeds of each."""

GROUNDS: Grounds = (
    ("kill-one-at-a-time", 10),
    ("hot-item", 10),
    ("slow-log", 10),
    ("store-cut", 10),
    ("impatient", 20),
    ("left-for-dead", 20),
    ("long-outage", 60),
    ("set-anew", 10),
    ("everything", 200),
)
COPIED_GROUNDS: Grounds = (("split-bundle", 60), ("failover", 300))
"""The scenarios with copies of each store, for the safeguards of these."""

REAL_GROUNDS: Grounds = (
    ("kill-one-at-a-time", 2),
    ("hot-item", 1),
    ("store-cut", 3),
    ("slow-log", 2),
    ("left-for-dead", 2),
    ("impatient", 1),
    ("set-anew", 3),
    ("everything", 3),
)
"""Fewer seeds than in the simulator, because a real run takes its whole duration."""


REAL_COPIED_GROUNDS: Grounds = (("failover", 3), ("split-bundle", 2))


class Detection(NamedTuple):
    """The first violation: its scenario, the first seed of it, and the number of runs until then in all scenarios."""

    scenario: str
    seed: int
    runs: int


def grounds_for(safeguard: str, runtime: str = SIMULATED) -> Grounds:
    """Return the scenarios for the hunt of a safeguard."""
    if any(rule.name == safeguard for rule in copies.SAFEGUARDS):
        return COPIED_GROUNDS if runtime == SIMULATED else REAL_COPIED_GROUNDS
    return GROUNDS if runtime == SIMULATED else REAL_GROUNDS


def hunt(protocol: str, safeguard: str, runtime: str = SIMULATED) -> Detection | None:
    """Return the first violation of the protocol without `safeguard`; None if no seed shows one."""
    runs = 0
    for scenario, count in grounds_for(safeguard, runtime):
        for seed in range(1, count + 1):
            runs += 1
            if run_without(protocol, safeguard, scenario, seed, runtime).names:
                return Detection(scenario, seed, runs)
    return None


def run_without(protocol: str, safeguard: str, scenario: str, seed: int, runtime: str = SIMULATED) -> InMemoryRun:
    """Run one seed of a scenario without `safeguard`, under the protocol options that the safeguard belongs to."""
    under = next(rule.under for rule in load(protocol).safeguards if rule.name == safeguard)
    loaded = scenarios.load(scenario)
    if runtime == SIMULATED:
        loaded = simulated(loaded)
    return in_memory.run(Plan(loaded, protocol, seed, runtime=runtime, options=dict(under), ablate=(safeguard,)))


def main(wanted: list[str]) -> None:
    for protocol in names():
        for safeguard in load(protocol).safeguards:
            if not wanted or safeguard.name in wanted:
                detection = hunt(protocol, safeguard.name, "local")
                where = f"{detection.scenario} seed {detection.seed}, run {detection.runs}" if detection else "nowhere"
                sys.stdout.write(f"{protocol} without {safeguard.name}: {where}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
