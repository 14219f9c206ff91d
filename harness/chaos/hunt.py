"""How soon the simulator finds a safeguard missing: seed by seed, through the scenarios that break most."""

from typing import NamedTuple

from harness import scenarios
from harness.chaos import single
from harness.chaos.plan import Plan, simulated
from harness.chaos.single import Single

GROUNDS = (("kill-one-at-a-time", 10), ("hot-item", 10), ("slow-log", 10), ("everything", 300))
"""Scenarios in the order in which they are tried, and so many seeds of each."""


class Catch(NamedTuple):
    """Where something was found: the first seed of the scenario that shows it, and how many runs it took in all."""

    scenario: str
    seed: int
    runs: int


def hunt(protocol: str, safeguard: str) -> Catch | None:
    """Where the protocol without it is first violated; None if nowhere."""
    runs = 0
    for scenario, count in GROUNDS:
        for seed in range(1, count + 1):
            runs += 1
            if without(protocol, safeguard, scenario, seed).names:
                return Catch(scenario, seed, runs)
    return None


def without(protocol: str, safeguard: str, scenario: str, seed: int) -> Single:
    """One seed of a scenario, in the simulator, with the safeguard taken out."""
    plan = Plan(simulated(scenarios.load(scenario)), protocol, seed, runtime="sim", ablate=(safeguard,))
    return single.run(plan)
