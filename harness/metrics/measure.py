"""The figures of a run, computed from its history and nothing else: whoever has the history can compute them again."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from harness.checkers.recovery import blocked
from harness.history import Event, History, Operation
from harness.metrics.histogram import Histogram
from harness.metrics.latency import latency_us

CHECKOUT = "checkout"
IN_TIME_MS = 1_000.0
"""A checkout that was answered for certain within this time found the shop available."""

SLICES = 240
"""At most so many points of time in a picture of a run."""

QUANTILES = {"p50_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}

PER_CHECKOUT = ("messages", "parcels", "forced_writes", "store_commands", "store_operations")


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The checkouts that began (or were due) in one slice of time, `at_s` seconds after the load began."""

    at_s: float
    ok: int
    fail: int
    unknown: int
    in_time: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """Of the load phase, which began `load_at_s` seconds into the run. `rate_per_s` is of checkouts that succeeded,
    `offered_per_s` of all that were due.

    `latency` has `p50_ms` and so on, of all checkouts whatever came of them. `availability` is the share that was answered for
    certain within a second. `capacity_per_s` and `found_per_s` are None where they were not looked for. `cost` is for each
    checkout that ended, `memory_mb` the highest, all nodes together. `faults` as `recovery.blocked` tells them, by `at_s`.
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
    """The figures; use `history.derive(measure)`."""
    begin, end = _load(history)
    load_s = max((end - begin) / 1e9, 1e-9)
    found = began_in(history, begin, end)
    latencies = Histogram(latency_us(each) for each in found)
    outcomes = [each.outcome for each in found]
    capacity = _capacity(history)
    faults = [
        {**each, "at_s": round(each["from_s"] - (begin - history.start_ns) / 1e9, 3)} for each in blocked(history)
    ]
    slice_s = _slice_s(load_s)
    return Measured(
        load_at_s=round((begin - history.start_ns) / 1e9, 3),
        load_s=round(load_s, 3),
        asked=len(found),
        ok=outcomes.count("ok"),
        fail=outcomes.count("fail"),
        unknown=outcomes.count("unknown"),
        offered_per_s=round(len(found) / load_s, 2),
        rate_per_s=round(outcomes.count("ok") / load_s, 2),
        latency=quantiles(latencies),
        availability=round(sum(map(in_time, found)) / len(found), 5) if found else None,
        capacity_per_s=capacity[0] if capacity else None,
        capacity_latency=capacity[1] if capacity else None,
        found_per_s=next((event.data["rate_per_s"] for event in reversed(history.of_kind("found"))), None),
        cost=_cost(history, begin, end),
        blocked_s=max((each["from_start_s"].get(CHECKOUT) or 0.0 for each in faults), default=None),
        faults=faults,
        slice_s=slice_s,
        slices=list(_slices(found, begin, load_s, slice_s)),
        histogram_us=list(latencies.buckets()),
    )


def _load(history: History) -> tuple[int, int]:
    """The load phase; all of a history without phases, and nothing of one that was cut short before its load."""
    found = window(history, "load")
    if found is None:
        return (history.end_ns if history.of_kind("phase") else history.start_ns), history.end_ns
    return found


def window(history: History, phase: str) -> tuple[int, int] | None:
    """From the beginning of a phase (the last of this name) to that of the next one, or to the end of the history."""
    begin = history.phase_ns(phase)
    if begin is None:
        return None
    later = [event.at_ns for event in history.of_kind("phase") if event.at_ns > begin]
    return begin, min(later, default=history.end_ns)


def began_in(history: History, begin_ns: int, end_ns: int) -> list[Operation]:
    """The checkouts that were due, or else asked, in this time."""
    return [
        each
        for each in history.operations
        if each.op == CHECKOUT and begin_ns <= (each.invoked_ns if each.due_ns is None else each.due_ns) < end_ns
    ]


def quantiles(latencies: Histogram) -> dict[str, float | None]:
    """`p50_ms` and so on, and `mean_ms`; None where nothing was counted."""
    if not latencies.total:
        return dict.fromkeys((*QUANTILES, "mean_ms"))
    found = {name: round((latencies.quantile(q) or 0) / 1000, 3) for name, q in QUANTILES.items()}
    return {**found, "mean_ms": round((latencies.mean() or 0) / 1000, 3)}


def in_time(operation: Operation) -> bool:
    """Whether it was answered for certain, and soon."""
    return operation.outcome != "unknown" and latency_us(operation) <= IN_TIME_MS * 1000


def _capacity(history: History) -> tuple[float, dict[str, float | None]] | None:
    span = window(history, "capacity")
    if span is None:
        return None
    found = [each for each in began_in(history, *span) if each.outcome == "ok"]
    last = max((each.completed_ns for each in found), default=span[1])
    per_s = round(len(found) / max((last - span[0]) / 1e9, 1e-9), 2)
    return per_s, quantiles(Histogram(latency_us(each) for each in found))


def _slice_s(load_s: float) -> float:
    """Half a second, or longer where that would be too many."""
    return next(each for each in (0.5, 1.0, 2.0, 5.0, 15.0, 60.0) if load_s / each <= SLICES or each == 60.0)


def _slices(found: Iterable[Operation], begin_ns: int, load_s: float, slice_s: float) -> Iterable[Slice]:
    kept: list[list[Operation]] = [[] for _ in range(int(load_s / slice_s) + 1)]
    for each in found:
        at_ns = (each.invoked_ns if each.due_ns is None else each.due_ns) - begin_ns
        kept[min(int(at_ns / 1e9 / slice_s), len(kept) - 1)].append(each)
    if load_s - (len(kept) - 1) * slice_s < slice_s / 2 and len(kept) > 1:
        rest = kept.pop()  # part of a slice would look like a collapse
        kept[-1] += rest
    for number, inside in enumerate(kept):
        latencies = quantiles(Histogram(map(latency_us, inside)))
        outcomes = [each.outcome for each in inside]
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


# ---------------------------------------------------------------- what a checkout costs


def _cost(history: History, begin_ns: int, end_ns: int) -> dict[str, float | None]:
    """Between the first and the last look at the nodes in this time, for each checkout that ended between them."""
    looks = [event for event in history.of_kind("cost") if begin_ns <= event.at_ns <= end_ns]
    empty: dict[str, float | None] = dict.fromkeys((*PER_CHECKOUT, "cpu_ms", "store_cpu_ms", "memory_mb"))
    if len(looks) < 2:
        return empty
    first, last = looks[0], looks[-1]
    ended = sorted(each.completed_ns for each in history.operations if each.op == CHECKOUT)
    count = bisect_right(ended, last.at_ns) - bisect_right(ended, first.at_ns)
    memory = [node.get("memory_mb") or 0.0 for node in last.data["nodes"]]
    if any(memory):
        empty["memory_mb"] = round(sum(memory), 1)
    if not count:
        return empty
    for name in PER_CHECKOUT:
        empty[name] = _each(_grown(first, last, name, ("service", "store")), count, 1)
    empty["cpu_ms"] = _each(_grown(first, last, "cpu_s", ("service", "gateway", "broker")), count, 1000)
    empty["store_cpu_ms"] = _each(_grown(first, last, "cpu_s", ("store",)), count, 1000)
    return empty


def _grown(first: Event, last: Event, name: str, kinds: Sequence[str]) -> float | None:
    """By how much a figure has grown from one look to another, over all nodes of these kinds; None if nobody has it."""
    before = {node["node"]: node.get(name) for node in first.data["nodes"]}
    grown = [
        node[name] - (before.get(node["node"]) or 0.0)
        for node in last.data["nodes"]
        if node["kind"] in kinds and node.get(name) is not None
    ]
    return sum(grown) if grown else None


def _each(total: float | None, count: int, scale: float) -> float | None:
    return None if total is None else round(total / count * scale, 3)
