"""Simulated runs and shops for the tests."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from harness.run import in_memory, scenarios
from harness.run.in_memory import InMemoryRun
from harness.run.plan import Plan, simulated
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.sim.loop import VirtualLoop, run
from harness.runtimes.sim.simulation import Simulation


def plan_of(scenario: str, protocol: str = "2pc", seed: int = 1, **changes: Any) -> Plan:
    """Return the plan of a packaged scenario, small, as `wdm chaos --runtime sim` runs it."""
    return replace(Plan(simulated(scenarios.load(scenario)), protocol, seed, runtime="sim"), **changes)


def examined(scenario: str, protocol: str = "2pc", seed: int = 1, **changes: Any) -> InMemoryRun:
    return in_memory.run(plan_of(scenario, protocol, seed, **changes))


def simulate(play: Callable[[Simulation], Coroutine[Any, Any, None]], seed: int = 1, **spec: Any) -> Simulation:
    """Start a shop on a healed network, run `play` with it, stop it and return it."""
    loop = VirtualLoop()
    shop = Simulation(Spec(**{"protocol": "2pc", "respawn_after_s": 0.5, **spec}), seed, loop)

    async def whole() -> None:
        await shop.up()
        await shop.heal()  # from now on nothing is slow or lost by itself
        await play(shop)
        await shop.down()

    run(loop, whole())
    return shop
