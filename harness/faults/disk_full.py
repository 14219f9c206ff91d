"""The fault `disk-full`: the disk of a store takes no more bytes.

At `everysec` the store acknowledges the first write that fails, from memory, and rejects later ones.
"""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.nodes import untaken
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability


class DiskFull:
    """A disk without space: no file of the store can grow until the end, also after a restart.

    At `always` a store ends when a write fails.
    """

    name = "disk-full"
    summary = "the disk of a store is full for for_s seconds: no file of the store can grow"
    aim: Aim = "stores"
    needs: frozenset[Capability] = frozenset({"disk"})
    default: tuple[str, ...] = ("any-store",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        named = (target for target in fault.targets if target not in DRAWN)
        return untaken("kill", nodes(runtime, self.aim, named))

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:  # noqa: ARG002
        for node in nodes(runtime, self.aim, fault.targets):
            runtime.holds.take(f"full {node.name}", fault)
            await runtime.fill_disk(node.name)
        return ""

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        for node in nodes(runtime, self.aim, fault.targets):
            if runtime.holds.release(f"full {node.name}", fault):
                await runtime.free_disk(node.name)
