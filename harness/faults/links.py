"""The base of faults of links: a rule for the target links, which is removed at the end."""

from abc import ABC, abstractmethod
from random import Random

from harness.faults.base import Aim, Fault, Setting
from harness.faults.targets import links
from harness.runtimes.base import Breakable, Capability, Rule


class LinkFault(ABC):
    """A fault kind that is one rule for its links. It applies to the connections of a link, in both directions of the data."""

    name: str
    summary: str
    aim: Aim = "links"
    needs: frozenset[Capability] = frozenset({"links"})
    default: tuple[str, ...] = ("any",)
    settings: tuple[Setting, ...] = ()

    @abstractmethod
    def rule(self, fault: Fault) -> Rule:
        """Return the rule for each target link."""

    def refuse(self, runtime: Breakable, fault: Fault) -> str | None:  # noqa: ARG002
        return None

    async def start(self, runtime: Breakable, fault: Fault, rng: Random) -> str:
        runtime.apply_rule(fault, links(runtime, fault.targets), self.rule(fault), Random(rng.getrandbits(64)))
        return ""

    async def end(self, runtime: Breakable, fault: Fault) -> None:
        runtime.remove_rules(fault)
