"""The cases of a bench: candidates, swept settings, and the faults of some of the runs."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from harness.bench.pace import Pace
from harness.run import scenarios
from harness.run.bench_manifest import describe_pace, describe_setting
from harness.run.plan import Plan
from harness.run.scenarios import Scenario
from harness.runtimes.deployment.spec import MAX_WORKERS
from harness.workload.orders import Orders
from protocols.copies.replication import NAMES, CopiesValue, parse
from protocols.errors import UsageError
from protocols.registry import load, names

FAULT_FREE = "fault-free"
DEFAULT_SCENARIOS = (FAULT_FREE, scenarios.DEFAULT)
JUDGED = ("conservation", "atomicity", "exactly-once", "recovery", "stats")
MOST_CASES = 64


class Axis(NamedTuple):
    """The range of one setting of a load; the setting is a whole number if its bounds are."""

    low: float
    high: float

    @property
    def words(self) -> str:
        """Return the values in words."""
        return f"a {'whole number' if isinstance(self.low, int) else 'number'} from {self.low:g} to {self.high:g}"

    def parse(self, text: str) -> float:
        """Return the value in `text`. Raises `ValueError` unless it is a number within the bounds; `nan` is not."""
        value = int(text) if isinstance(self.low, int) else float(text)
        if not self.low <= value <= self.high:
            raise ValueError(text)
        return value


class CopiesAxis(NamedTuple):
    """The values of `--copies`."""

    words: str = f"one of {NAMES}"

    def parse(self, text: str) -> CopiesValue:
        """Return the value in `text`. Raises `ValueError` for any other text."""
        try:
            return parse(text)
        except UsageError as error:
            raise ValueError(text) from error


Swept = float | CopiesValue

SWEPT: Mapping[str, Axis | CopiesAxis] = {
    "clients": Axis(1, 2_000),
    "workers": Axis(1, MAX_WORKERS),
    "copies": CopiesAxis(),
    "items": Axis(1, 100),
    "skew": Axis(0.0, 3.0),
    "rate": Axis(0.1, 50_000.0),
}
"""The settings for `--sweep`; the options of the same names have the same bounds."""

TRACED = 4
"""One of so many transactions has spans in a run without faults; under faults all have."""


class Candidate(NamedTuple):
    """A protocol over a transport."""

    protocol: str
    transport: str = "http"

    @property
    def name(self) -> str:
        return self.protocol if self.transport == "http" else f"{self.protocol} over {self.transport}"


@dataclass(frozen=True, slots=True)
class BenchCase:
    """One row of the comparison. `items` is the number of lines of an order, `skew` the Zipf exponent of the choice of items."""

    candidate: Candidate
    scenario: str = FAULT_FREE
    workers: int = 1
    items: int = 2
    skew: float = 0.0
    pace: Pace = field(default_factory=Pace)
    copies: CopiesValue = 1

    @property
    def ready_made(self) -> bool:
        """Whether the shop makes such orders in one request, many at once."""
        return Orders(lines=self.items, skew=self.skew).ready_made

    @property
    def faults(self) -> str:
        """The name of the scenario, also where it is a file."""
        return Path(self.scenario).stem if self.scenario.endswith(".toml") else self.scenario

    @property
    def name(self) -> str:
        """The candidate, the faults, the load, and the settings other than the defaults."""
        usual = BenchCase(self.candidate)
        changed = [
            f"{name} {describe_setting(getattr(self, name))}"
            for name in ("workers", "copies", "items", "skew")
            if getattr(self, name) != getattr(usual, name)
        ]
        load = describe_pace(self.pace.rate_per_s, self.pace.clients, self.pace.limit_p99_ms)
        return ", ".join((self.candidate.name, self.faults, load, *changed))

    def with_setting(self, name: str, value: Swept) -> "BenchCase":
        """Return the case with another value of a swept setting."""
        if name == "copies":
            return replace(self, copies=parse(value))
        assert not isinstance(value, str)
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
    """The complete configuration of a bench. `command` is the command line that repeats it."""

    cases: tuple[BenchCase, ...]
    seed: int
    rounds: int = 1
    duration_s: float = 20.0
    runtime: str = "local"
    durability: str = "everysec"
    command: str = "wdm bench"

    def turns(self) -> Iterator[tuple[int, BenchCase]]:
        """Yield (round, case), every case once a round: a change of the machine over time then meets all cases."""
        for number in range(1, self.rounds + 1):
            for case in self.cases:
                yield number, case

    def pace(self, case: BenchCase) -> Pace:
        """Return the load of this case, with the capacity stage in runs without faults only."""
        capacity_s = case.pace.capacity_s if case.scenario == FAULT_FREE else 0.0
        return replace(
            case.pace, capacity_s=capacity_s, reserve=case.pace.for_load(self.duration_s, ready_made=case.ready_made)
        )

    def plan(self, case: BenchCase, number: int) -> Plan:
        """Return the plan of a case in a round. Raises `UsageError` for an impossible one."""
        pace = self.pace(case)
        broken = scenarios.load(case.scenario) if case.scenario != FAULT_FREE else None
        workload = Orders(
            lines=case.items,
            skew=case.skew,
            clients=pace.clients,
            rate_per_s=pace.rate_per_s or 1e6,
            orders=pace.before_load(ready_made=case.ready_made) + pace.reserve,
        )
        base = broken or Scenario(name=FAULT_FREE, summary="No faults", workload_name="orders", workload=workload)
        scenario = replace(
            base,
            workload_name="orders",
            workload=workload,
            duration_s=self.duration_s,
            workers=case.workers,
            copies=case.copies,
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
            repeat_command=self.command,
        )


def atomic() -> list[str]:
    """Return the default protocols: all with a claim of atomicity and safeguards for it."""
    protocols = {name: load(name) for name in names()}
    return [
        name
        for name, protocol in protocols.items()
        if protocol.safeguards and protocol.claims(protocol.configure()).atomicity != "none"
    ]


def swept(cases: Iterable[BenchCase], texts: Sequence[str]) -> list[BenchCase]:
    """Return every case with every combination of the values in `NAME=V,V,...`. Raises `UsageError`."""
    axes = [_axis(text) for text in texts]
    combined = list(cases)
    for axis in axes:
        combined = [case.with_setting(name, value) for case, (name, value) in itertools.product(combined, axis)]
    if len(combined) > MOST_CASES:
        raise UsageError(f"--sweep makes {len(combined)} cases, more than {MOST_CASES}: sweep fewer values")
    return combined


def _axis(text: str) -> list[tuple[str, Swept]]:
    name, equals, values = text.partition("=")
    if name not in SWEPT or not equals:
        raise UsageError(f"--sweep takes NAME=VALUE,VALUE with one of {', '.join(SWEPT)}, not {text!r}")
    axis = SWEPT[name]
    settings: list[tuple[str, Swept]] = []
    for text_of_value in values.split(","):
        try:
            settings.append((name, axis.parse(text_of_value)))
        except ValueError:
            raise UsageError(
                f"--sweep {name}: {text_of_value!r} is not {axis.words}; separate them by commas"
            ) from None
    if len(set(settings)) < len(settings):
        raise UsageError(f"--sweep {name}: {values!r} names a value twice; each is a row of its own")
    return settings
