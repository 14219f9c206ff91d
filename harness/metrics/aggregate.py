"""Several rounds of one case as one set of figures."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import msgspec

from harness.checkers import Verdict
from harness.metrics.histogram import Histogram
from harness.metrics.measure import Measured, quantiles

SPREAD: dict[str, Callable[[Measured], float | None]] = {
    "rate_per_s": lambda each: each.rate_per_s,
    "p50_ms": lambda each: each.latency["p50_ms"],
    "p99_ms": lambda each: each.latency["p99_ms"],
    "capacity_per_s": lambda each: each.capacity_per_s,
}


def merged(rounds: Sequence[Measured]) -> Measured:
    """Counts and histograms add up, rates and costs are medians; slices and faults are the first round's."""
    if len(rounds) == 1:
        return rounds[0]
    first, latencies = rounds[0], Histogram()
    for each in rounds:
        latencies.add(Histogram.of(each.histogram_us))
    load_s = sum(each.load_s for each in rounds)
    asked, ok = sum(each.asked for each in rounds), sum(each.ok for each in rounds)
    available = [each.availability * each.asked for each in rounds if each.availability is not None]
    capacities = [each.capacity_latency for each in rounds if each.capacity_latency]
    return msgspec.structs.replace(
        first,
        load_s=round(load_s, 3),
        asked=asked,
        ok=ok,
        fail=sum(each.fail for each in rounds),
        unknown=sum(each.unknown for each in rounds),
        offered_per_s=round(asked / load_s, 2),
        rate_per_s=round(ok / load_s, 2),
        latency={**quantiles(latencies), "mean_ms": _middle([each.latency["mean_ms"] for each in rounds])},
        availability=round(sum(available) / asked, 5) if asked else None,
        capacity_per_s=_middle([each.capacity_per_s for each in rounds]),
        capacity_latency={name: _middle([each[name] for each in capacities]) for name in capacities[0]}
        if capacities
        else None,
        found_per_s=_middle([each.found_per_s for each in rounds]),
        cost={name: _middle([each.cost[name] for each in rounds]) for name in first.cost},
        blocked_s=max((each.blocked_s for each in rounds if each.blocked_s is not None), default=None),
        histogram_us=list(latencies.buckets()),
    )


def spread(rounds: Sequence[Measured]) -> dict[str, Any]:
    """(least, most) of what differs from round to round; empty for a single one."""
    found = {}
    for name, of in SPREAD.items():
        values = [value for each in rounds if (value := of(each)) is not None]
        if len(values) > 1:
            found[name] = [min(values), max(values)]
    return found


def worst(verdicts: Sequence[str]) -> str:
    """Violated before unknown before holds; unknown of nothing."""
    order = (Verdict.VIOLATED, Verdict.UNKNOWN, Verdict.HOLDS)
    return next((str(each) for each in order if each in verdicts), str(Verdict.UNKNOWN))


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 3) if known else None
