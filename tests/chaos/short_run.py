"""A scenario that lasts a second."""

from dataclasses import replace
from typing import Any

from harness.run.scenarios import Recurring, Scenario
from harness.workload import WORKLOADS


def crash(target: str, *, every_s: float = 0.0, for_s: float = 0.1, at_s: float = 0.2) -> Recurring:
    again = (every_s, every_s) if every_s else None
    return Recurring("crash", (target,), (at_s, at_s), (for_s, for_s), again, {})


def scenario(*faults: Recurring, **changes: Any) -> Scenario:
    workload = WORKLOADS["checkout"](users=20, items=10, clients=8)  # type: ignore[call-arg]
    short = Scenario("short", "a test", "checkout", workload, duration_s=1.0, respawn_after_s=0.2, faults=faults)
    return replace(short, **changes)
