"""A message that nobody can read."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.targets import nodes
from harness.runtimes.base import Breakable, Capability


class Poison:
    """It comes once, and nothing heals it: the service has to put it aside, and to go on."""

    name = "poison"
    summary = "a service is sent a message through the broker that nobody can read"
    aim: Aim = "services"
    needs: frozenset[Capability] = frozenset({"letters"})
    default: tuple[str, ...] = ("any",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:  # noqa: ARG002
        return None

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        name = f"{rng.getrandbits(64):016x}"
        services = dict.fromkeys(node.service for node in nodes(runtime, self.aim, fault.targets))
        for service in services:
            await runtime.plant(service, f"{service} {name}")
        return name

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        """It has happened."""
