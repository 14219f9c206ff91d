"""The fault `two-electors`: a second elector runs, as after a restart elsewhere of one that was only cut off."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.runtimes.base import SECOND_ELECTOR, Breakable, Capability, Rule

ELECTORS = "electors"


class TwoElectors:
    """A second elector with a number of its own, which ends with the fault. It may be far away from the stores."""

    name = "two-electors"
    summary = "a second elector runs beside the first one"
    aim: Aim = "nodes"
    needs: frozenset[Capability] = frozenset({"electors", "links"})
    default: tuple[str, ...] = ("elector",)
    settings: tuple[Setting, ...] = (
        Setting("delay_ms", 0.0, "delay between it and the stores each way, in milliseconds", high=60_000),
        Setting("jitter_ms", 0.0, "most additional delay, drawn for each piece of data, in milliseconds", high=60_000),
    )

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:  # noqa: ARG002
        return None

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        runtime.holds.take(ELECTORS, fault)
        rule = Rule(delay_ms=fault.number("delay_ms"), jitter_ms=fault.number("jitter_ms"))
        stores = [(SECOND_ELECTOR, node.name) for node in runtime.nodes() if node.kind == "store"]
        runtime.apply_rule(fault, stores, rule, Random(rng.getrandbits(64)))
        await runtime.start_elector()
        return ""

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        runtime.remove_rules(fault)
        if runtime.holds.release(ELECTORS, fault):
            await runtime.stop_elector()
