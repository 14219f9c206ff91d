"""The fault `poison`: one message that no service can decode, and one that can be decoded and that every store rejects."""

from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.targets import nodes
from harness.runtimes.base import Breakable, Capability


class Poison:
    """Messages that arrive once and have no heal: the service has to move them to its dead letters, and to continue."""

    name = "poison"
    summary = "a service receives messages through the broker that no handler can decode, or that its store rejects"
    aim: Aim = "services"
    needs: frozenset[Capability] = frozenset({"dead-letters"})
    default: tuple[str, ...] = ("any",)
    settings: tuple[Setting, ...] = ()

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:  # noqa: ARG002
        return None

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        name = f"{rng.getrandbits(64):016x}"
        services = dict.fromkeys(node.service for node in nodes(runtime, self.aim, fault.targets))
        planted: dict[str, None] = {}
        for service in services:
            planted.update(dict.fromkeys(await runtime.inject_poison(service, name)))
        return " ".join(planted)

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        """Undo nothing: a message that was sent cannot be taken back."""
