"""How soon chaos finds a safeguard missing: seed by seed, through the scenarios that break most.

`python -m harness.chaos.hunt [SAFEGUARD ...]` hunts on real processes, which takes minutes, and says what came of it.
"""

import sys
from typing import NamedTuple

from harness.run import in_memory, scenarios
from harness.run.in_memory import Single
from harness.run.plan import Plan, simulated
from harness.runtimes.table import SIMULATED
from protocols.registry import load, names

Grounds = tuple[tuple[str, int], ...]
"""Scenarios in the order in which they are tried, and so many seeds of each."""

GROUNDS: Grounds = (
    ("kill-one-at-a-time", 10),
    ("hot-item", 10),
    ("slow-log", 10),
    ("store-cut", 10),
    ("impatient", 20),
    ("left-for-dead", 20),
    ("long-outage", 60),
    ("everything", 200),
)
REAL_GROUNDS: Grounds = (
    ("kill-one-at-a-time", 2),
    ("hot-item", 1),
    ("store-cut", 3),
    ("slow-log", 2),
    ("left-for-dead", 2),
    ("impatient", 1),
    ("everything", 3),
)
"""Fewer where a seed takes as long as it says."""


class Catch(NamedTuple):
    """Where something was found: the first seed of the scenario that shows it, and how many runs it took in all."""

    scenario: str
    seed: int
    runs: int


def hunt(protocol: str, safeguard: str, runtime: str = SIMULATED, grounds: Grounds = GROUNDS) -> Catch | None:
    """Where the protocol without it is first violated; None if nowhere."""
    runs = 0
    for scenario, count in grounds:
        for seed in range(1, count + 1):
            runs += 1
            if without(protocol, safeguard, scenario, seed, runtime).names:
                return Catch(scenario, seed, runs)
    return None


def without(protocol: str, safeguard: str, scenario: str, seed: int, runtime: str = SIMULATED) -> Single:
    """One seed of a scenario with the safeguard taken out, under the options that it is for."""
    under = next(one.under for one in load(protocol).safeguards if one.name == safeguard)
    found = scenarios.load(scenario)
    if runtime == SIMULATED:
        found = simulated(found)
    return in_memory.run(Plan(found, protocol, seed, runtime=runtime, options=dict(under), ablate=(safeguard,)))


def main(wanted: list[str]) -> None:
    for protocol in names():
        for safeguard in load(protocol).safeguards:
            if not wanted or safeguard.name in wanted:
                catch = hunt(protocol, safeguard.name, "local", REAL_GROUNDS)
                where = f"{catch.scenario} seed {catch.seed}, run {catch.runs}" if catch else "nowhere"
                sys.stdout.write(f"{protocol} without {safeguard.name}: {where}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
