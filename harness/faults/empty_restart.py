"""The fault `empty-restart`: a store server comes back without its data."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.nodes import await_death, bring_back, take_down, untaken
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability


class EmptyRestart:
    """A SIGKILL, the loss of the whole log, and a new start: a machine that was replaced, or its disk."""

    name = "empty-restart"
    summary = "a copy of a store is killed, loses all its data, and is started again"
    aim: Aim = "stores"
    needs: frozenset[Capability] = frozenset({"signals", "copies"})
    default: tuple[str, ...] = ("any-store",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        named = (target for target in fault.targets if target not in DRAWN)
        return untaken("kill", nodes(runtime, self.aim, named))

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:  # noqa: ARG002
        victims = nodes(runtime, self.aim, fault.targets)
        take_down(runtime, fault, victims)
        await await_death(runtime, victims)
        reports = [await runtime.empty_store(node.name) for node in victims]
        if not fault.for_s:
            bring_back(runtime, fault)
        return "; ".join(reports)

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        bring_back(runtime, fault)
