"""The base of faults in the code of service processes, which receive a fault at its start and drop it at its end."""

from abc import ABC, abstractmethod
from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.targets import nodes
from harness.runtimes.base import Breakable, Capability
from protocols.service.faults import Faults


class ServiceFault(ABC):
    """A fault kind whose effect is in the code of the target processes (`protocols.service.faults`)."""

    name: str
    summary: str
    aim: Aim = "services"
    needs: frozenset[Capability]
    default: tuple[str, ...] = ("any",)
    settings: tuple[Setting, ...] = ()

    @abstractmethod
    def process_faults(self, fault: Fault, rng: Random) -> Faults:
        """Return the faults for each target process."""

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:  # noqa: ARG002
        return None

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        victims = nodes(runtime, self.aim, fault.targets)
        await runtime.disturb(fault, [node.name for node in victims], self.process_faults(fault, rng))
        return ""

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        await runtime.undisturb(fault)
