"""The fault `pause`: a node keeps its connections and sends no answer, as during a long garbage collection."""

from contextlib import suppress
from random import Random

from harness.errors import EnvironmentFailure
from harness.faults.base import Aim, Fault, Setting
from harness.faults.nodes import untaken
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability


class Pause:
    """A SIGSTOP at the start, and a SIGCONT at the end."""

    name = "pause"
    summary = "a node is frozen (SIGSTOP) for for_s seconds, then goes on (SIGCONT)"
    aim: Aim = "nodes"
    needs: frozenset[Capability] = frozenset({"signals"})
    default: tuple[str, ...] = ("any",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        named = (target for target in fault.targets if target not in DRAWN)
        return untaken("pause", nodes(runtime, self.aim, named))

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:  # noqa: ARG002
        victims = nodes(runtime, self.aim, fault.targets)
        for node in victims:
            runtime.holds.take(f"paused {node.name}", fault)
            if node.state in ("running", "starting"):
                with suppress(EnvironmentFailure):  # it is dying
                    runtime.pause(node.name)
        return ", ".join(f"{node.name} is down" for node in victims if node.state == "down")

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        for node in runtime.nodes():
            if runtime.holds.release(f"paused {node.name}", fault):
                with suppress(EnvironmentFailure):  # it died meanwhile
                    runtime.resume(node.name)
