"""What was measured, as tables to read and as one JSON document."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.load import Load
from benchmarks.speed.contenders import BARE
from benchmarks.speed.rounds import Taken

ROLES = ("generator", "order", "stock", "payment")
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
COSTS = {
    "calls": "store commands",
    "commands": "inside them",
    "messages": "messages",
    "posts": "posts",
    "forced": "forced",
}


def show(console: Console, title: str, taken: Mapping[str, Taken]) -> None:
    """One row a contender: how fast, how late, what each checkout cost and where."""
    rates = Table(
        "", "/s", f"of {BARE}", *QUANTILES, "cores", "failed", title=f"{title}: checkouts a second, latency in ms"
    )
    costs = Table(
        "", *ROLES, "stores", "all", *COSTS.values(), title=f"{title}: µs of processor and counts, each checkout"
    )
    for table in (rates, costs):
        for column in table.columns[1:]:
            column.justify = "right"
    for name, one in taken.items():
        late = (f"{one.quantile_ms(q):.1f}" for q in QUANTILES.values())
        each = one.each_us()
        cores = f"{one.rate_per_s * sum(each.values()) / 1e6:.1f}"
        rates.add_row(name, f"{one.rate_per_s:.0f}", _ratio(one, taken.get(BARE)), *late, cores, str(one.failed or ""))
        stores = sum(us for role, us in each.items() if role not in ROLES)
        spent = [each.get(role, 0.0) for role in ROLES]
        counts = (f"{one.each(what):.2f}" for what in COSTS)
        costs.add_row(name, *(f"{us:.0f}" for us in (*spent, stores, sum(each.values()))), *counts)
    console.print(rates)
    console.print(costs)


def show_open(console: Console, title: str, loads: Mapping[str, tuple[float, Load]]) -> None:
    table = Table(
        "",
        "asked /s",
        "done /s",
        *QUANTILES,
        "p99 / p50",
        "generator",
        title=f"{title}: open loop at 70 %, latency in ms",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for name, (rate_per_s, load) in loads.items():
        late = (f"{load.quantile_ms(q):.1f}" for q in QUANTILES.values())
        spread = load.quantile_ms(0.99) / load.quantile_ms(0.5)
        share = f"{load.cpu_s / load.seconds:.0%}"
        table.add_row(name, f"{rate_per_s:.0f}", f"{load.rate_per_s:.0f}", *late, f"{spread:.1f}", share)
    console.print(table)


def document(taken: Mapping[str, Taken]) -> dict[str, Any]:
    """The same for machines. Rates and quantiles are medians of the rounds; ``us`` is microseconds of processor a checkout."""
    return {
        name: {
            "rate_per_s": one.rate_per_s,
            "rates_per_s": [load.rate_per_s for load in one.loads],
            **({"of_bare": median(one.ratios(taken[BARE]))} if BARE in taken else {}),
            "latency_ms": {label: one.quantile_ms(q) for label, q in QUANTILES.items()},
            "us": one.each_us(),
            "each": {what: one.each(what) for what in COSTS},
            "failed": one.failed,
        }
        for name, one in taken.items()
    }


def _ratio(one: Taken, bare: Taken | None) -> str:
    if bare is None:
        return ""
    ratios = one.ratios(bare)
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
