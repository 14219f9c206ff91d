"""The simulated runtime: the shop in one process, in virtual time. See `harness.runtimes.table` for the port."""

from harness.history import spans
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.environment import Environment
from harness.runtimes.sim import loop as virtual_time
from harness.runtimes.sim.simulation import Simulation


def environment(spec: Spec, seed: int, salt: int) -> Environment:
    """Return the environment of a run in the simulator. `salt`: another course of chance for the same seed."""
    loop = virtual_time.VirtualLoop()
    shop = Simulation(spec, seed, loop, salt)
    return Environment(
        shop,
        shop.unfinished,
        connect=shop.client,
        clock=loop.time_ns,
        run=lambda work: virtual_time.run(loop, work),
        trace=shop.world.trace.text,
        spans=lambda: spans.from_simulation(shop.world.steps.lines()),
    )
