"""The fault `slow-copy`: the replication to a copy of a store is late."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.targets import nodes
from harness.runtimes.base import Breakable, Capability, LinkId, Rule


class SlowCopy:
    """A delay on the links between a copy and the others of its store, in both directions; the order stays."""

    name = "slow-copy"
    summary = "a copy of a store receives everything from the primary late, by delay_ms and up to jitter_ms more"
    aim: Aim = "stores"
    needs: frozenset[Capability] = frozenset({"links", "copies"})
    default: tuple[str, ...] = ("any-store:copy",)
    settings: tuple[Setting, ...] = (
        Setting("delay_ms", 200.0, "delay each way, in milliseconds", high=60_000),
        Setting(
            "jitter_ms", 200.0, "most additional delay, drawn for each piece of data, in milliseconds", high=60_000
        ),
    )

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:  # noqa: ARG002
        return None

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        rule = Rule(delay_ms=fault.number("delay_ms"), jitter_ms=fault.number("jitter_ms"))
        runtime.apply_rule(fault, _replication(runtime, fault), rule, Random(rng.getrandbits(64)))
        return ""

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        runtime.remove_rules(fault)


def _replication(runtime: Breakable, fault: Fault) -> list[LinkId]:
    """Return the links between the targets and other stores."""
    slow = {node.name for node in nodes(runtime, SlowCopy.aim, fault.targets)}
    stores = {node.name for node in runtime.nodes() if node.kind == "store"}
    return [link for link in runtime.links() if stores.issuperset(link) and not slow.isdisjoint(link)]
