"""A service dies between two effects of its protocol, where a crash hurts most."""

from collections.abc import Iterable
from random import Random

from harness.explore.failpoints import failpoints
from harness.faults.base import Aim, Fault, Setting
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability, Node
from protocols.service.faults import Faults


class CrashAt:
    """Armed from the start to the end; each process meant that passes the failpoint for the ``passing``-th time dies there.

    Of the targets, those that belong to the failpoint's service are meant. They are started again as after any other death.
    """

    name = "crash-at"
    summary = "a service dies at a named failpoint between two effects, such as order:after-persist:commit"
    aim: Aim = "services"
    needs: frozenset[Capability] = frozenset({"failpoints"})
    default: tuple[str, ...] = ("services",)
    settings: tuple[Setting, ...] = (
        Setting("failpoint", "", "its name; without one, it is drawn"),
        Setting("passing", 1, "it dies when it passes there for this time", low=1, high=1_000_000),
    )

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        failpoint = fault.text("failpoint")
        there = failpoints(*runtime.configured())  # takes a second the first time, so never first in the midst of a run
        if not failpoint:
            return None
        if failpoint not in there:
            return f"no failpoint {failpoint!r}; there are: {', '.join(there)}"
        if any(target in DRAWN for target in fault.targets):
            return f"{', '.join(fault.targets)} with a failpoint: name the node instead, or no target for all it can be"
        if not _meant(nodes(runtime, self.aim, fault.targets), failpoint):
            return f"{failpoint} is nowhere in {', '.join(fault.targets)}"
        return None

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        candidates = nodes(runtime, self.aim, fault.targets)
        failpoint = fault.text("failpoint") or rng.choice(
            [failpoint for failpoint in failpoints(*runtime.configured()) if _meant(candidates, failpoint)]
        )
        victims = _meant(candidates, failpoint)
        await runtime.disturb(fault, victims, Faults(crash_at={failpoint: int(fault.number("passing"))}))
        return f"armed in {', '.join(victims)}: {failpoint}"

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        await runtime.undisturb(fault)


def _meant(candidates: Iterable[Node], failpoint: str) -> list[str]:
    service = failpoint.partition(":")[0]
    return [node.name for node in candidates if node.service == service]
