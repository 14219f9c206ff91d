"""The figures of several rounds of one case, merged into one set."""

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import msgspec

from harness.checkers import Verdict
from harness.metrics.histogram import Histogram
from harness.metrics.measure import Measured, quantiles

SPREAD: dict[str, Callable[[Measured], float | None]] = {
    "rate_per_s": lambda measured: measured.rate_per_s,
    "p50_ms": lambda measured: measured.latency["p50_ms"],
    "p99_ms": lambda measured: measured.latency["p99_ms"],
    "capacity_per_s": lambda measured: measured.capacity_per_s,
}


def merged(rounds: Sequence[Measured]) -> Measured:
    """Merge the rounds: sums of counts and histograms, medians of rates and costs, slices and faults of the first round."""
    if len(rounds) == 1:
        return rounds[0]
    first, latencies = rounds[0], Histogram()
    for measured in rounds:
        latencies.add(Histogram.of(measured.histogram_us))
    load_s = sum(measured.load_s for measured in rounds)
    asked, ok = sum(measured.asked for measured in rounds), sum(measured.ok for measured in rounds)
    available = [measured.availability * measured.asked for measured in rounds if measured.availability is not None]
    capacities = [measured.capacity_latency for measured in rounds if measured.capacity_latency]
    return msgspec.structs.replace(
        first,
        load_s=round(load_s, 3),
        asked=asked,
        ok=ok,
        fail=sum(measured.fail for measured in rounds),
        unknown=sum(measured.unknown for measured in rounds),
        offered_per_s=round(asked / load_s, 2),
        rate_per_s=round(ok / load_s, 2),
        latency={**quantiles(latencies), "mean_ms": _middle([measured.latency["mean_ms"] for measured in rounds])},
        failed_requests=sum(measured.failed_requests for measured in rounds),
        worst_ms=max((measured.worst_ms for measured in rounds if measured.worst_ms is not None), default=None),
        availability=round(sum(available) / asked, 5) if asked else None,
        capacity_per_s=_middle([measured.capacity_per_s for measured in rounds]),
        capacity_latency={name: _middle([measured[name] for measured in capacities]) for name in capacities[0]}
        if capacities
        else None,
        found_per_s=_middle([measured.found_per_s for measured in rounds]),
        cost={name: _middle([measured.cost[name] for measured in rounds]) for name in first.cost},
        blocked_s=max((measured.blocked_s for measured in rounds if measured.blocked_s is not None), default=None),
        histogram_us=list(latencies.buckets()),
    )


def spread(rounds: Sequence[Measured]) -> dict[str, Any]:
    """Return the (least, most) of measured figure over the rounds; empty for a single round."""
    bounds = {}
    for name, of in SPREAD.items():
        values = [value for measured in rounds if (value := of(measured)) is not None]
        if len(values) > 1:
            bounds[name] = [min(values), max(values)]
    return bounds


def worst(verdicts: Sequence[str]) -> str:
    """Return the worst verdict: violated before unknown before holds; unknown without any."""
    order = (Verdict.VIOLATED, Verdict.UNKNOWN, Verdict.HOLDS)
    return next((str(verdict) for verdict in order if verdict in verdicts), str(Verdict.UNKNOWN))


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(median(known), 3) if known else None
