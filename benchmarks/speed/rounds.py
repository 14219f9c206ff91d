"""Rounds in which all contenders take turns, with the rate and the cost of each round."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.load import Load, closed_loop, open_loop
from benchmarks.speed.contenders import Contender
from benchmarks.speed.counts import Counts, counted
from benchmarks.speed.orders import Orders

WARM_UP_S = 0.7
FASTEST_PER_S = 20_000  # the highest rate that the first warm-up has orders for


@dataclass(frozen=True, slots=True)
class Case:
    """A kind of load: the number of items in an order, their spread, and the number of clients of the closed loop."""

    items: int = 1
    spread: str = "uniform"
    clients: int = 50

    def __str__(self) -> str:
        return f"{self.items} item{'s' * (self.items > 1)} an order, {self.spread}, {self.clients} clients"


@dataclass(slots=True)
class RoundResults:
    """The results of all rounds of one contender."""

    loads: list[Load] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)

    @property
    def rate_per_s(self) -> float:
        return median(load.rate_per_s for load in self.loads)

    @property
    def done(self) -> int:
        return sum(load.statuses[200] for load in self.loads)

    def quantile_ms(self, q: float) -> float:
        """Return the median of the quantiles of the rounds."""
        return median(load.quantile_ms(q) for load in self.loads)

    def us_per_checkout(self) -> dict[str, float]:
        """Return the microseconds of processor time a checkout by role, with those of the generator last."""
        spent = {role: seconds * 1e6 / max(self.done, 1) for role, seconds in self.counts.cpu_s.items()}
        return {**spent, "generator": sum(load.cpu_s for load in self.loads) * 1e6 / max(self.done, 1)}

    def per_checkout(self, event: str) -> float:
        """Return the count of an event a checkout."""
        return self.counts.events.get(event, 0) / max(self.done, 1)

    def ratios(self, other: "RoundResults") -> list[float]:
        """Return the ratios to the rates of another contender, round by round."""
        return [load.rate_per_s / base.rate_per_s for load, base in zip(self.loads, other.loads, strict=True)]

    @property
    def failed(self) -> int:
        return sum(load.statuses.total() for load in self.loads) - self.done


class Stage:
    """The running contenders, and the orders of each."""

    def __init__(self, contenders: Sequence[Contender]) -> None:
        self._contenders = {contender.name: contender for contender in contenders}
        self._orders = {contender.name: Orders(contender.orders) for contender in contenders}

    async def closed(self, case: Case, names: Sequence[str], rounds: int, seconds: float) -> Mapping[str, RoundResults]:
        """Run the rounds of a closed loop, and return the results by contender."""
        taken = {name: RoundResults() for name in names}
        expected = {name: await self._warm_up(case, name) for name in names}
        for _ in range(rounds):
            for name in names:
                load, counts = await self._round(case, name, expected[name], seconds)
                taken[name].loads.append(load)
                taken[name].counts += counts
                expected[name] = max(expected[name], load.rate_per_s)
        return taken

    async def opened(self, case: Case, name: str, rate_per_s: float, seconds: float) -> Load:
        """Run an open loop at a fixed rate, after half a second that does not count."""
        contender = self._contenders[name]
        for time_s in (0.5, seconds):
            paths = self._paths(case, name, int(rate_per_s * time_s) + 1)
            load = await open_loop(contender.urls, paths, rate_per_s, time_s)
        return load

    async def _warm_up(self, case: Case, name: str) -> float:
        contender = self._contenders[name]
        rate_per_s = 200.0
        for time_s in (WARM_UP_S / 2, WARM_UP_S):
            paths = self._paths(case, name, int(min(40 * rate_per_s, FASTEST_PER_S) * time_s))
            rate_per_s = (await closed_loop(contender.urls, paths, case.clients, time_s)).rate_per_s
        return rate_per_s

    async def _round(self, case: Case, name: str, expected_per_s: float, seconds: float) -> tuple[Load, Counts]:
        contender = self._contenders[name]
        paths = self._paths(case, name, int(1.5 * expected_per_s * seconds) + 10 * case.clients)
        processes = contender.processes()
        before = await counted(processes, contender.stores)
        load = await closed_loop(contender.urls, paths, case.clients, seconds)
        return load, await counted(processes, contender.stores) - before

    def _paths(self, case: Case, name: str, count: int) -> Iterator[str]:
        path, numbers = self._contenders[name].path, self._orders[name].make(count, case.items, case.spread)
        return (f"{path}{number}" for number in numbers)
