"""The fault `crash-at`: a service dies between two effects of its protocol."""

from collections.abc import Iterable
from random import Random

from harness.explore.failpoints import failpoints
from harness.faults.base import Aim, Fault, Setting
from harness.faults.targets import DRAWN, nodes
from harness.runtimes.base import Breakable, Capability, Node
from protocols.service.faults import Faults


class CrashAt:
    """A failpoint that is armed from start to end: each target process that passes it for the `passing`-th time dies there.

    Of the targets, the processes of the failpoint's service are armed. They are started again as after any other death.
    """

    name = "crash-at"
    summary = "a service dies at a named failpoint between two effects, such as order:after-persist:commit"
    aim: Aim = "services"
    needs: frozenset[Capability] = frozenset({"failpoints"})
    default: tuple[str, ...] = ("services",)
    settings: tuple[Setting, ...] = (
        Setting("failpoint", "", "the name of the failpoint; drawn if empty"),
        Setting("passing", 1, "the number of the passing at which a process dies", low=1, high=1_000_000),
    )

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:
        failpoint = fault.text("failpoint")
        # Before the check for an empty name: the first search takes a second, and in `start` it would stop the load.
        known = failpoints(*runtime.configured())
        if not failpoint:
            return None
        if failpoint not in known:
            return f"no failpoint {failpoint!r}; there are: {', '.join(known)}"
        if any(target in DRAWN for target in fault.targets):
            return f"{', '.join(fault.targets)} with a failpoint: name the node instead, or no target for all its nodes"
        if not _of_service(nodes(runtime, self.aim, fault.targets), failpoint):
            return f"{failpoint} is nowhere in {', '.join(fault.targets)}"
        return None

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        candidates = nodes(runtime, self.aim, fault.targets)
        failpoint = fault.text("failpoint") or rng.choice(
            [failpoint for failpoint in failpoints(*runtime.configured()) if _of_service(candidates, failpoint)]
        )
        victims = _of_service(candidates, failpoint)
        await runtime.disturb(fault, victims, Faults(crash_at={failpoint: int(fault.number("passing"))}))
        return f"armed in {', '.join(victims)}: {failpoint}"

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        await runtime.undisturb(fault)


def _of_service(candidates: Iterable[Node], failpoint: str) -> list[str]:
    service = failpoint.partition(":")[0]
    return [node.name for node in candidates if node.service == service]
