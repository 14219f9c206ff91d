"""The fault `power-cut`: the machine loses power, so that all nodes end at once and the stores lose their unforced writes."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.nodes import await_death, bring_back, take_down, untaken
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability


class PowerCut:
    """A SIGKILL for all nodes, the services first: no service may see an acknowledgement of a write that the cut then removes."""

    name = "power-cut"
    summary = "all services and stores are killed at once, and every log loses its tail that was not forced to disk"
    aim: Aim = "nodes"
    needs: frozenset[Capability] = frozenset({"signals", "log-tail"})
    default: tuple[str, ...] = ("all",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        named = (target for target in fault.targets if target not in DRAWN)
        return untaken("kill", nodes(runtime, self.aim, named))

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        victims = nodes(runtime, self.aim, fault.targets)
        take_down(runtime, fault, sorted(victims, key=lambda node: node.kind == "store"))
        await await_death(runtime, victims)
        reports = [await runtime.cut_tail(node.name, rng) for node in victims if node.kind == "store"]
        if not fault.for_s:
            bring_back(runtime, fault)
        return "; ".join(reports)

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        bring_back(runtime, fault)
