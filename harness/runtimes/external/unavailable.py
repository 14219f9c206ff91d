"""The faults that need more than a node's processes: not available in a shop that somebody else has started."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from random import Random
from typing import NoReturn

from harness.errors import EnvironmentFailure
from harness.runtimes.base import LinkId, Rule
from protocols.core import Config, Protocol
from protocols.service.faults import Faults


class NodeFaultsOnly:
    """The members of `Breakable` for which a runtime has no capability: faults are rejected, and an end has nothing to undo."""

    def links(self) -> tuple[LinkId, ...]:
        return ()

    def apply_rule(self, by: Hashable, links: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        _reject("a rule for links", by, links, rule, rng)

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        del by, reset

    def configured(self) -> tuple[Protocol, Config]:
        _reject("the protocol's configuration")

    async def disturb(self, by: Hashable, names: Iterable[str], faults: Faults) -> None:
        _reject("a fault inside of a service process", by, names, faults)

    async def undisturb(self, by: Hashable) -> None:
        del by

    async def cut_tail(self, name: str, rng: Random) -> str:
        _reject(f"the log of {name}", rng)

    async def fill_disk(self, name: str) -> None:
        _reject(f"the disk of {name}")

    async def free_disk(self, name: str) -> None:
        del name

    def primaries(self) -> Mapping[str, str]:
        return {}

    async def empty_store(self, name: str) -> str:
        _reject(f"the data of {name}")

    async def start_elector(self) -> None:
        _reject("an elector")

    async def stop_elector(self) -> None:
        """Do nothing: there is none."""

    async def inject_poison(self, service: str, name: str) -> Sequence[str]:
        _reject(f"poison for {service}", name)

    async def dead_letters(self) -> Sequence[bytes]:
        _reject("the dead letters of the broker")

    def terminate(self, name: str) -> None:
        _reject(f"the drain of {name}")


def _reject(what: str, *arguments: object) -> NoReturn:
    del arguments
    raise EnvironmentFailure(f"{what}: not available in a shop that somebody else has started")
