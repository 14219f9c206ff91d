"""A store's machine loses power: the process ends, and with it the end of the log that had not reached the disk."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.nodes import bring_back, gone, not_ours, take_down
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability


class LostTail:
    """Kill, cut what the fsync policy does not guarantee, start again. SIGKILL alone takes what the kernel has not got."""

    name = "lost-tail"
    summary = "a store is killed and loses the tail of its log that was not yet forced to disk"
    aim: Aim = "stores"
    needs: frozenset[Capability] = frozenset({"signals", "log-tail"})
    default: tuple[str, ...] = ("any-store",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        return not_ours(nodes(runtime, self.aim, (target for target in fault.targets if target not in DRAWN)))

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        victims = nodes(runtime, self.aim, fault.targets)
        take_down(runtime, fault, victims)
        await gone(runtime, victims)
        told = [await runtime.cut_tail(node.name, rng) for node in victims]
        if not fault.for_s:
            bring_back(runtime, fault)
        return "; ".join(told)

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        bring_back(runtime, fault)
