"""The machine loses power: everything on it ends at once, and the stores lose what had not reached the disk."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.nodes import bring_back, gone, not_ours, take_down
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability


class PowerCut:
    """Services are killed first, so that nobody hears from a store what the cut then takes back."""

    name = "power-cut"
    summary = "all services and stores are killed at once, and every log loses its tail that was not forced to disk"
    aim: Aim = "nodes"
    needs: frozenset[Capability] = frozenset({"signals", "log-tail"})
    default: tuple[str, ...] = ("all",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        return not_ours(nodes(runtime, self.aim, (target for target in fault.targets if target not in DRAWN)))

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        victims = nodes(runtime, self.aim, fault.targets)
        take_down(runtime, fault, sorted(victims, key=lambda node: node.kind == "store"))
        await gone(runtime, victims)
        told = [await runtime.cut_tail(node.name, rng) for node in victims if node.kind == "store"]
        if not fault.for_s:
            bring_back(runtime, fault)
        return "; ".join(told)

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        bring_back(runtime, fault)
