"""A store's disk takes no more bytes: at `everysec` the store acknowledges the write that meets it from memory, then refuses."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.nodes import not_ours
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability


class DiskFull:
    """No file of the store may grow until the end, in whatever life. At `always` a store ends when a write fails."""

    name = "disk-full"
    summary = "the disk of a store is full for for_s seconds: no file of the store can grow"
    aim: Aim = "stores"
    needs: frozenset[Capability] = frozenset({"disk"})
    default: tuple[str, ...] = ("any-store",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        return not_ours(nodes(runtime, self.aim, (target for target in fault.targets if target not in DRAWN)))

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:  # noqa: ARG002
        for node in nodes(runtime, self.aim, fault.targets):
            runtime.holds.take(f"full {node.name}", fault)
            await runtime.fill_disk(node.name)
        return ""

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        for node in nodes(runtime, self.aim, fault.targets):
            if runtime.holds.release(f"full {node.name}", fault):
                await runtime.free_disk(node.name)
