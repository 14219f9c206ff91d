"""The figures of a run, computed from its history alone, so that they can be computed again."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from harness.checkers.availability import failed_requests
from harness.checkers.recovery import blocked
from harness.history import Event, History, Operation
from harness.history.latency import latency_us
from harness.metrics.histogram import Histogram

CHECKOUT = "checkout"
IN_TIME_MS = 1_000.0
"""The latency of a certain answer up to which the shop counts as available."""

SLICES = 240
"""The highest number of slices of a run in a chart."""

QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}

PER_CHECKOUT = ("messages", "parcels", "forced_writes", "store_commands", "store_operations")


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The checkouts that were due (or began) in one slice of time, `at_s` seconds after the start of the load."""

    at_s: float
    ok: int
    fail: int
    unknown: int
    in_time: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the load phase, which began `load_at_s` seconds into the run.

    `rate_per_s` counts the successful checkouts, `offered_per_s` all checkouts that were due. `latency` has `p50_ms` and so on,
    of checkouts with any outcome. `failed_requests` and `worst_ms`, the worst latency, are those of all requests, of any
    operation. `availability` is the share with a certain answer within a second. `capacity_per_s` and
    `found_per_s` are None in runs without that stage. `cost` is a value for each checkout that ended, with the highest memory
    of all nodes together as `memory_mb`. `faults` are those of `recovery.blocked`, with their time `at_s` in the load.
    """

    load_at_s: float
    load_s: float
    asked: int
    ok: int
    fail: int
    unknown: int
    offered_per_s: float
    rate_per_s: float
    latency: dict[str, float | None]
    failed_requests: int
    worst_ms: float | None
    availability: float | None
    capacity_per_s: float | None
    capacity_latency: dict[str, float | None] | None
    found_per_s: float | None
    cost: dict[str, float | None]
    blocked_s: float | None
    faults: list[dict[str, Any]]
    slice_s: float
    slices: list[Slice]
    histogram_us: list[tuple[int, int]]


def measure(history: History) -> Measured:
    """Compute the figures. `history.derive(measure)` computes them once."""
    begin, end = _load(history)
    load_s = max((end - begin) / 1e9, 1e-9)
    requests = [operation for operation in history.operations if begin <= _due_ns(operation) < end]
    checkouts = [request for request in requests if request.op == CHECKOUT]
    latencies = Histogram(map(latency_us, checkouts))
    outcomes = [checkout.outcome for checkout in checkouts]
    capacity = _capacity(history)
    faults = [
        {**fault, "at_s": round(fault["from_s"] - (begin - history.start_ns) / 1e9, 3)} for fault in blocked(history)
    ]
    slice_s = _slice_s(load_s)
    return Measured(
        load_at_s=round((begin - history.start_ns) / 1e9, 3),
        load_s=round(load_s, 3),
        asked=len(checkouts),
        ok=outcomes.count("ok"),
        fail=outcomes.count("fail"),
        unknown=outcomes.count("unknown"),
        offered_per_s=round(len(checkouts) / load_s, 2),
        rate_per_s=round(outcomes.count("ok") / load_s, 2),
        latency=quantiles(latencies),
        failed_requests=sum(begin <= _due_ns(request) < end for request in history.derive(failed_requests)),
        worst_ms=max((latency_us(request) / 1000 for request in requests), default=None),
        availability=round(sum(map(in_time, checkouts)) / len(checkouts), 5) if checkouts else None,
        capacity_per_s=capacity[0] if capacity else None,
        capacity_latency=capacity[1] if capacity else None,
        found_per_s=next((event.data["rate_per_s"] for event in reversed(history.of_kind("found"))), None),
        cost=_cost(history, begin, end),
        blocked_s=max((fault["from_start_s"].get(CHECKOUT) or 0.0 for fault in faults), default=None),
        faults=faults,
        slice_s=slice_s,
        slices=list(_slices(checkouts, begin, load_s, slice_s)),
        histogram_us=list(latencies.buckets()),
    )


def _load(history: History) -> tuple[int, int]:
    """Return the begin and end of the load phase, in nanoseconds.

    A history without phases is all load, and a history that ended before its load phase has none.
    """
    span = window(history, "load")
    if span is None:
        return (history.end_ns if history.of_kind("phase") else history.start_ns), history.end_ns
    return span


def window(history: History, phase: str) -> tuple[int, int] | None:
    """Return the begin of a phase (the last of this name) and the begin of the next one, or the end of the history."""
    begin = history.phase_ns(phase)
    if begin is None:
        return None
    later = [event.at_ns for event in history.of_kind("phase") if event.at_ns > begin]
    return begin, min(later, default=history.end_ns)


def began_in(history: History, begin_ns: int, end_ns: int) -> list[Operation]:
    """Return the checkouts that were due in this time; in a closed loop, those that began in it."""
    return [
        operation
        for operation in history.operations
        if operation.op == CHECKOUT and begin_ns <= _due_ns(operation) < end_ns
    ]


def _due_ns(operation: Operation) -> int:
    return operation.invoked_ns if operation.due_ns is None else operation.due_ns


def quantiles(latencies: Histogram) -> dict[str, float | None]:
    """Return `p50_ms` and so on, and `mean_ms`; None for an empty histogram."""
    if not latencies.total:
        return dict.fromkeys((*QUANTILES, "mean_ms"))
    values = {name: round((latencies.quantile(q) or 0) / 1000, 3) for name, q in QUANTILES.items()}
    return {**values, "mean_ms": round((latencies.mean() or 0) / 1000, 3)}


def in_time(operation: Operation) -> bool:
    """Return whether the operation had a certain answer within `IN_TIME_MS`."""
    return operation.outcome != "unknown" and latency_us(operation) <= IN_TIME_MS * 1000


def _capacity(history: History) -> tuple[float, dict[str, float | None]] | None:
    """Return the rate and the latencies of the closed loop before the load; None in a run without one."""
    span = window(history, "capacity")
    if span is None:
        return None
    succeeded = [checkout for checkout in began_in(history, *span) if checkout.outcome == "ok"]
    # The stage ends before its last answers: the time until the last of them counts, else the rate would be too high.
    last = max((checkout.completed_ns for checkout in succeeded), default=span[1])
    per_s = round(len(succeeded) / max((last - span[0]) / 1e9, 1e-9), 2)
    return per_s, quantiles(Histogram(map(latency_us, succeeded)))


def _slice_s(load_s: float) -> float:
    """Return the length of a slice: half a second, or longer for a load of more than `SLICES` slices."""
    return next(length for length in (0.5, 1.0, 2.0, 5.0, 15.0, 60.0) if load_s / length <= SLICES or length == 60.0)


def _slices(checkouts: Iterable[Operation], begin_ns: int, load_s: float, slice_s: float) -> Iterable[Slice]:
    """Yield the slices of the load. A rest of less than half a slice belongs to the slice before it."""
    parts: list[list[Operation]] = [[] for _ in range(int(load_s / slice_s) + 1)]
    for checkout in checkouts:
        at_ns = _due_ns(checkout) - begin_ns
        parts[min(int(at_ns / 1e9 / slice_s), len(parts) - 1)].append(checkout)
    if load_s - (len(parts) - 1) * slice_s < slice_s / 2 and len(parts) > 1:
        rest = parts.pop()  # a short slice has few checkouts, and its rate would look like a collapse
        parts[-1] += rest
    for number, inside in enumerate(parts):
        latencies = quantiles(Histogram(map(latency_us, inside)))
        outcomes = [checkout.outcome for checkout in inside]
        yield Slice(
            at_s=round(number * slice_s, 3),
            ok=outcomes.count("ok"),
            fail=outcomes.count("fail"),
            unknown=outcomes.count("unknown"),
            in_time=sum(map(in_time, inside)),
            p50_ms=latencies["p50_ms"],
            p99_ms=latencies["p99_ms"],
            max_ms=latencies["max_ms"],
        )


# ---------------------------------------------------------------- the cost of a checkout


def _cost(history: History, begin_ns: int, end_ns: int) -> dict[str, float | None]:
    """Return the cost of a checkout, from the first and the last reading of the nodes in this time."""
    readings = [event for event in history.of_kind("cost") if begin_ns <= event.at_ns <= end_ns]
    empty: dict[str, float | None] = dict.fromkeys((*PER_CHECKOUT, "cpu_ms", "store_cpu_ms", "memory_mb"))
    if len(readings) < 2:
        return empty
    first, last = readings[0], readings[-1]
    ended = sorted(operation.completed_ns for operation in history.operations if operation.op == CHECKOUT)
    count = bisect_right(ended, last.at_ns) - bisect_right(ended, first.at_ns)
    memory = [node.get("memory_mb") or 0.0 for node in last.data["nodes"]]
    if any(memory):
        empty["memory_mb"] = round(sum(memory), 1)
    if not count:
        return empty
    for name in PER_CHECKOUT:
        empty[name] = _per_checkout(_grown(first, last, name, ("service", "store")), count, 1)
    empty["cpu_ms"] = _per_checkout(_grown(first, last, "cpu_s", ("service", "gateway", "broker")), count, 1000)
    empty["store_cpu_ms"] = _per_checkout(_grown(first, last, "cpu_s", ("store",)), count, 1000)
    return empty


def _grown(first: Event, last: Event, name: str, kinds: Sequence[str]) -> float | None:
    """Return the growth of a figure between two readings, over all nodes of these kinds; None if no node has it."""
    before = {node["node"]: node.get(name) for node in first.data["nodes"]}
    grown = [
        node[name] - (before.get(node["node"]) or 0.0)
        for node in last.data["nodes"]
        if node["kind"] in kinds and node.get(name) is not None
    ]
    return sum(grown) if grown else None


def _per_checkout(total: float | None, count: int, scale: float) -> float | None:
    return None if total is None else round(total / count * scale, 3)
