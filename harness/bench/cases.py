"""What a bench compares: candidates, the settings that are swept, and the faults of a part of its runs."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from harness.bench.pace import Pace
from harness.run import scenarios
from harness.run.bench_manifest import describe_pace
from harness.run.plan import Plan
from harness.run.scenarios import Scenario
from harness.runtimes.deployment.spec import MAX_WORKERS
from harness.workload.orders import Orders
from protocols.errors import UsageError
from protocols.registry import load, names

FAULT_FREE = "fault-free"
DEFAULT_SCENARIOS = (FAULT_FREE, scenarios.DEFAULT)
JUDGED = ("conservation", "atomicity", "exactly-once", "recovery", "stats")
MOST_CASES = 64


class Axis(NamedTuple):
    """What one setting of a load may be; bounds that are whole numbers are of a whole number."""

    low: float
    high: float

    def parse(self, text: str) -> float:
        """Raises `ValueError` for what is no number within the bounds, as `nan` is not."""
        value = int(text) if isinstance(self.low, int) else float(text)
        if not self.low <= value <= self.high:
            raise ValueError(text)
        return value


SWEPT: Mapping[str, Axis] = {
    "clients": Axis(1, 2_000),
    "workers": Axis(1, MAX_WORKERS),
    "items": Axis(1, 100),
    "skew": Axis(0.0, 3.0),
    "rate": Axis(0.1, 50_000.0),
}
"""What can be swept; the options of the same names have the same bounds."""

TRACED = 4
"""Of so many transactions one is noted step by step where nothing is broken; under faults all are."""


class Candidate(NamedTuple):
    protocol: str
    transport: str = "http"

    @property
    def name(self) -> str:
        return self.protocol if self.transport == "http" else f"{self.protocol} over {self.transport}"


@dataclass(frozen=True, slots=True)
class BenchCase:
    """One row of the comparison. `items` is the number of lines of an order, `skew` how much some items are preferred."""

    candidate: Candidate
    scenario: str = FAULT_FREE
    workers: int = 1
    items: int = 2
    skew: float = 0.0
    pace: Pace = field(default_factory=Pace)

    @property
    def ready_made(self) -> bool:
        """Whether the shop can make such orders by itself, many at once."""
        return Orders(lines=self.items, skew=self.skew).ready_made

    @property
    def faults(self) -> str:
        """The name of the scenario, also where it is a file."""
        return Path(self.scenario).stem if self.scenario.endswith(".toml") else self.scenario

    @property
    def name(self) -> str:
        """With the settings that are not the usual ones."""
        usual = BenchCase(self.candidate)
        told = [
            f"{name} {getattr(self, name):g}"
            for name in ("workers", "items", "skew")
            if getattr(self, name) != getattr(usual, name)
        ]
        load = describe_pace(self.pace.rate_per_s, self.pace.clients, self.pace.limit_p99_ms)
        return ", ".join((self.candidate.name, self.faults, load, *told))

    def with_(self, name: str, value: float) -> "BenchCase":
        """With another value of what is swept."""
        match name:
            case "clients":
                return replace(self, pace=replace(self.pace, clients=int(value), rate_per_s=None))
            case "rate":
                return replace(self, pace=replace(self.pace, rate_per_s=value))
            case "skew":
                return replace(self, skew=value)
            case "items":
                return replace(self, items=int(value))
            case "workers":
                return replace(self, workers=int(value))
            case _:
                raise UsageError(f"{name!r} cannot be swept; there are: {', '.join(SWEPT)}")


@dataclass(frozen=True, slots=True)
class Bench:
    """Everything that has to be known to repeat it. `command` is the command line that does."""

    cases: tuple[BenchCase, ...]
    seed: int
    rounds: int = 1
    duration_s: float = 20.0
    runtime: str = "local"
    durability: str = "everysec"
    command: str = "wdm bench"

    def turns(self) -> Iterator[tuple[int, BenchCase]]:
        """(round, case): in each round every case once, so that what changes with time changes for all."""
        for number in range(1, self.rounds + 1):
            for case in self.cases:
                yield number, case

    def pace(self, case: BenchCase) -> Pace:
        """How the shop of this case is driven: how much it can do is asked where nothing is broken."""
        capacity_s = case.pace.capacity_s if case.scenario == FAULT_FREE else 0.0
        return replace(
            case.pace, capacity_s=capacity_s, reserve=case.pace.for_load(self.duration_s, ready_made=case.ready_made)
        )

    def plan(self, case: BenchCase, number: int) -> Plan:
        """The run of a case in a round. Raises `UsageError` if it cannot be."""
        pace = self.pace(case)
        broken = scenarios.load(case.scenario) if case.scenario != FAULT_FREE else None
        workload = Orders(
            lines=case.items,
            skew=case.skew,
            clients=pace.clients,
            rate_per_s=pace.rate_per_s or 1e6,
            orders=pace.before_load(ready_made=case.ready_made) + pace.reserve,
        )
        base = broken or Scenario(
            name=FAULT_FREE, summary="Nothing is broken", workload_name="orders", workload=workload
        )
        scenario = replace(
            base,
            workload_name="orders",
            workload=workload,
            duration_s=self.duration_s,
            workers=case.workers,
            durability=self.durability,
            must_hold=JUDGED,
        )
        return Plan(
            scenario=scenario,
            protocol=case.candidate.protocol,
            seed=self.seed + number - 1,
            named=case.scenario,
            runtime=self.runtime,
            transport=case.candidate.transport,
            trace=TRACED if broken is None else 1,
            told=self.command,
        )


def atomic() -> list[str]:
    """The protocols that are compared where none is named: all that do something for the atomicity they claim."""
    found = []
    for name in names():
        protocol = load(name)
        if protocol.safeguards and protocol.claims(protocol.configure()).atomicity != "none":
            found.append(name)
    return found


def swept(cases: Iterable[BenchCase], texts: Sequence[str]) -> list[BenchCase]:
    """Every case with every combination of the values in `NAME=V,V,...`. Raises `UsageError` naming what is wrong."""
    axes = [_axis(text) for text in texts]
    found = list(cases)
    for axis in axes:
        found = [case.with_(name, value) for case, (name, value) in itertools.product(found, axis)]
    if len(found) > MOST_CASES:
        raise UsageError(f"--sweep makes {len(found)} cases, more than {MOST_CASES}: sweep fewer values")
    return found


def _axis(text: str) -> list[tuple[str, float]]:
    name, equals, values = text.partition("=")
    if name not in SWEPT or not equals:
        raise UsageError(f"--sweep takes NAME=VALUE,VALUE with one of {', '.join(SWEPT)}, not {text!r}")
    axis = SWEPT[name]
    found: list[tuple[str, float]] = []
    for each in values.split(","):
        try:
            found.append((name, axis.parse(each)))
        except ValueError:
            what = "whole number" if isinstance(axis.low, int) else "number"
            raise UsageError(
                f"--sweep {name}: {each!r} is not a {what} from {axis.low:g} to {axis.high:g}; separate them by commas"
            ) from None
    if len(set(found)) < len(found):
        raise UsageError(f"--sweep {name}: {values!r} names a value twice; each is a row of its own")
    return found
