"""The fault `lost-tail`: the machine of a store loses power, and the log its unforced writes."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.nodes import await_death, bring_back, take_down, untaken
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability


class LostTail:
    """A SIGKILL, the cut of the part of the log that the fsync policy does not guarantee, and a new start.

    A SIGKILL alone loses no write that has reached the kernel.
    """

    name = "lost-tail"
    summary = "a store is killed and loses the tail of its log that was not yet forced to disk"
    aim: Aim = "stores"
    needs: frozenset[Capability] = frozenset({"signals", "log-tail"})
    default: tuple[str, ...] = ("any-store",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        named = (target for target in fault.targets if target not in DRAWN)
        return untaken("kill", nodes(runtime, self.aim, named))

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        victims = nodes(runtime, self.aim, fault.targets)
        take_down(runtime, fault, victims)
        await await_death(runtime, victims)
        reports = [await runtime.cut_tail(node.name, rng) for node in victims]
        if not fault.for_s:
            bring_back(runtime, fault)
        return "; ".join(reports)

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        bring_back(runtime, fault)
