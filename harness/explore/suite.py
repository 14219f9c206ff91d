"""One `wdm check`: a protocol, the cases to search, and the verdict over all of them."""

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
    """A check of one protocol. ``participants`` None: as many as the protocol has; ``transactions`` None: one, and
    two at once.

    ``bounds``, except for the crashes, are for all cases together. ``UsageError`` is raised for a protocol, option or
    safeguard that does not exist.
    """

    protocol: str
    options: Mapping[str, str] = field(default_factory=dict)
    ablate: tuple[str, ...] = ()
    participants: int | None = None
    transactions: int | None = None
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        if not 0 < self.bounds.seconds < float("inf"):  # false for nan as well, which no clock ever reaches
            raise UsageError(f"a search of {self.bounds.seconds!r} seconds would not end: give a finite number above 0")

    def cases(self) -> tuple[SearchCase, ...]:
        """Return the cases to search."""
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
        """Yield the result of each case. ``progress`` is called with the case, states and depth now and then.

        The first violation of safety ends the check: it says more than a violation of liveness in a later case.
        """
        searches = [self.search(case) for case in self.cases()]
        began, states = time.monotonic(), 0
        for search in searches:
            left = self.bounds.seconds - (time.monotonic() - began)
            search.bounds = replace(self.bounds, seconds=left, states=self.bounds.states - states)
            result = search.run(partial(progress, search.case))
            states += result.states
            yield result
            if result.unsafe:
                return

    def command(self) -> str:
        """Return the command line that repeats this check."""
        values = {"participants": self.participants, "transactions": self.transactions}
        for bound in fields(Bounds):
            value = getattr(self.bounds, bound.name)
            values[bound.name] = None if value == bound.default else value
        flags = [word for name, value in values.items() if value is not None for word in (f"--{name}", str(value))]
        return shlex.join(["wdm", "check", *configuration(self), *flags])


def participants(protocol: Protocol) -> int:
    """Count the participants: the stores beside the coordinator's."""
    stores = {protocol.store_of(service) for service in protocol.roles}
    return len(stores) - 1


def configuration(model_check: ModelCheck) -> list[str]:
    """Return the flags for the protocol, its options and the ablated safeguards."""
    flags = ["--protocol", model_check.protocol]
    for name, value in model_check.options.items():
        flags += ["--option", f"{name}={value}"]
    for name in model_check.ablate:
        flags += ["--ablate", name]
    return flags


def worst(results: Sequence[SearchResult]) -> SearchResult | None:
    """Return the violation to report: one of safety if there is one, else the first of liveness; None without a
    violation.
    """
    violations = [result for result in results if result.violation]
    return next((result for result in violations if result.unsafe), violations[0] if violations else None)


def verdict(results: Sequence[SearchResult]) -> Verdict:
    """Return ``holds`` only if every state of every case was visited."""
    if any(result.violation for result in results):
        return Verdict.VIOLATED
    return Verdict.HOLDS if all(result.exhausted for result in results) else Verdict.UNKNOWN


def on_real_processes(model_check: ModelCheck, result: SearchResult) -> str:
    """Return the command that kills a real service at the first crash of the path, or "" if no service crashes on it."""
    services = load(model_check.protocol).roles
    for step in result.path:
        if step.crashed and step.node in services:
            flags = [*configuration(model_check), "--crash-at", step.crashed]
            return shlex.join(["wdm", "chaos", "--runtime", "local", *flags])
    return ""
