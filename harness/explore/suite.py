"""What one `wdm check` searches: a protocol, the cases it is put through, and what they came to together."""

import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial

from harness.checkers import Verdict
from harness.explore.breadth import Bounds
from harness.explore.case import SearchCase, cases
from harness.explore.search import Search, SearchResult
from protocols.core import Config, Protocol
from protocols.errors import UsageError
from protocols.registry import load

Progress = Callable[[SearchCase, int, int], None]


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """Does it hold? ``participants`` None: as many as the protocol has; ``transactions`` None: one, and two at once.

    ``bounds`` but for the crashes are for all cases together. Raises ``UsageError`` where it is asked of a protocol, option or
    safeguard that does not exist.
    """

    protocol: str
    options: Mapping[str, str] = field(default_factory=dict)
    ablate: tuple[str, ...] = ()
    participants: int | None = None
    transactions: int | None = None
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        if not 0 < self.bounds.seconds < float("inf"):  # nor is nan, which no clock ever reaches
            raise UsageError(f"a search of {self.bounds.seconds!r} seconds would not end: give a finite number above 0")

    def cases(self) -> tuple[SearchCase, ...]:
        here = participants(load(self.protocol))
        if self.participants is not None and not here:
            raise UsageError(f"{self.protocol} has no participants: leave --participants away")
        return cases(self.participants or here or 2, self.transactions)

    def search(self, case: SearchCase, bounds: Bounds | None = None) -> Search:
        protocol, config = self.configured()
        return Search(protocol, config, case, bounds or self.bounds)

    def configured(self) -> tuple[Protocol, Config]:
        protocol = load(self.protocol)
        config = protocol.configure(self.options, self.ablate)
        protocol.refuse_idle_ablation(config)
        return protocol, config

    def results(self, progress: Progress = lambda _case, _states, _depth: None) -> Iterator[SearchResult]:
        """What each case came to. ``watch`` hears states and depth now and then.

        It ends with the first unsafe one: a way to a wrong state says more than a way to one from which nothing ends.
        """
        searches = [self.search(case) for case in self.cases()]
        began, states = time.monotonic(), 0
        for search in searches:
            left = self.bounds.seconds - (time.monotonic() - began)
            search.bounds = replace(self.bounds, seconds=left, states=self.bounds.states - states)
            found = search.run(partial(progress, search.case))
            states += found.states
            yield found
            if found.unsafe:
                return

    def command(self) -> str:
        """The command line that asks it again."""
        said = {"participants": self.participants, "transactions": self.transactions}
        for bound in fields(Bounds):
            value = getattr(self.bounds, bound.name)
            said[bound.name] = None if value == bound.default else value
        flags = [word for name, value in said.items() if value is not None for word in (f"--{name}", str(value))]
        return shlex.join(["wdm", "check", *configuration(self), *flags])


def participants(protocol: Protocol) -> int:
    """How many services have a store of their own beside the coordinator's, and so a part in a transaction."""
    stores = {protocol.store_of(service) for service in protocol.roles}
    return len(stores) - 1


def configuration(model_check: ModelCheck) -> list[str]:
    """The flags that say which protocol and how."""
    flags = ["--protocol", model_check.protocol]
    for name, value in model_check.options.items():
        flags += ["--option", f"{name}={value}"]
    for name in model_check.ablate:
        flags += ["--ablate", name]
    return flags


def worst(results: Sequence[SearchResult]) -> SearchResult | None:
    """The violation to tell: an unsafe state if there is one, else the first state from which something never ends."""
    broken = [found for found in results if found.violation]
    return next((found for found in broken if found.unsafe), broken[0] if broken else None)


def verdict(results: Sequence[SearchResult]) -> Verdict:
    """``holds`` only if every state of every case was seen."""
    if any(found.violation for found in results):
        return Verdict.VIOLATED
    return Verdict.HOLDS if all(found.exhausted for found in results) else Verdict.UNKNOWN


def on_real_processes(model_check: ModelCheck, found: SearchResult) -> str:
    """The command that lets a real service die where this way has its first crash, or nothing if it has none there."""
    services = load(model_check.protocol).roles
    for step in found.path:
        if step.crashed and step.node in services:
            flags = [*configuration(model_check), "--crash-at", step.crashed]
            return shlex.join(["wdm", "chaos", "--runtime", "local", *flags])
    return ""
