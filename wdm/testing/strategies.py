"""Hypothesis strategies for faults, schedules and runs."""

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from harness import faults
from harness.faults import Fault, FaultKind, Setting
from harness.run.plan import Plan
from harness.run.scenarios import Scenario
from harness.workload import WORKLOADS

LONGEST_S = 6.0
MOST_FAULTS = 6
AT_RANDOM: Mapping[str, tuple[str, ...]] = {
    "nodes": ("order", "stock", "payment", "order-store", "stock-store", "payment-store", "any"),
    "services": ("order", "stock", "payment", "services"),
    "drained": ("order", "stock", "payment", "services", "gateway"),
    "stores": ("order-store", "stock-store", "payment-store"),
    "links": ("order<->stock", "order<->payment", "order-1<->order-store", "stock-1<->stock-store", "any"),
}
"""The targets of a drawn fault, by the aim of its kind."""

LIMITS = {
    "delay_ms": 1_500.0,
    "jitter_ms": 500.0,
    "hold_ms": 2_500.0,
    "bytes_per_s": 20_000.0,
    "passing": 30.0,
    "offset_ms": 8_000.0,
}
"""Limits of drawn settings; other settings have their own limits."""


def a_setting(setting: Setting) -> st.SearchStrategy[Any]:
    if isinstance(setting.default, str):
        return st.sampled_from(setting.choices) if setting.choices else st.just(setting.default)
    high = min(setting.high, LIMITS.get(setting.name, setting.high))
    low = max(setting.low, -high)
    if isinstance(setting.default, int):
        return st.integers(int(low), int(high))
    return st.floats(low, high, allow_nan=False).map(lambda value: round(value, 3)).filter(lambda value: low <= value)


@st.composite
def a_fault(draw: st.DrawFn, kinds: tuple[FaultKind, ...]) -> Fault:
    """Return a strategy for a fault of these kinds, at any time of a short run."""
    kind = draw(st.sampled_from(kinds))
    drawn = {setting.name: draw(a_setting(setting)) for setting in kind.settings if setting.name != "failpoint"}
    target = draw(st.sampled_from(AT_RANDOM[kind.aim]))
    at_s = draw(st.integers(0, int(LONGEST_S * 10))) / 10
    return faults.fault(kind.name, (target,), at_s, draw(st.integers(1, 30)) / 10, drawn)


KINDS = tuple(
    kind
    for kind in faults.KINDS.values()
    if kind.name not in ("power-cut", "disk-full", "slow-copy", "stale-primary", "empty-restart", "two-electors")
)
"""The kinds of a drawn schedule. No protocol restores the writes that a store loses by the others, or they need copies of it."""


def schedules(kinds: tuple[FaultKind, ...] = KINDS) -> st.SearchStrategy[tuple[Fault, ...]]:
    """Return a strategy for up to `MOST_FAULTS` faults in order of time."""
    without = tuple(kind for kind in kinds if kind.name != "lost-tail")
    return st.lists(a_fault(without), max_size=MOST_FAULTS).map(
        lambda drawn: tuple(sorted(drawn, key=lambda fault: fault.at_s))
    )


@st.composite
def plans(draw: st.DrawFn, protocol: str) -> Plan:
    """Return a strategy for a plan: any workload, schedule and seed, one or two instances."""
    name = draw(st.sampled_from(sorted(WORKLOADS)))
    scenario = Scenario(
        name="drawn",
        summary="drawn",
        workload_name=name,
        workload=WORKLOADS[name]().lighter(),
        duration_s=LONGEST_S,
        workers=draw(st.integers(1, 2)),
    )
    return Plan(scenario, protocol, draw(st.integers(0, 2**31)), runtime="sim", schedule=draw(schedules()))
