"""The results as tables and as one JSON document."""

from collections.abc import Mapping
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.load import Load
from benchmarks.speed.contenders import BARE
from benchmarks.speed.rounds import RoundResults

ROLES = ("generator", "order", "stock", "payment")
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}
COSTS = {
    "calls": "store commands",
    "commands": "inside them",
    "messages": "messages",
    "batches": "batches",
    "forced": "forced",
}


def show(console: Console, title: str, taken: Mapping[str, RoundResults]) -> None:
    """Print the tables: rates and latencies, and the costs of a checkout, with a row a contender."""
    rates = Table(
        "", "/s", f"of {BARE}", *QUANTILES, "cores", "failed", title=f"{title}: checkouts a second, latency in ms"
    )
    costs = Table(
        "", *ROLES, "stores", "all", *COSTS.values(), title=f"{title}: µs of processor and counts, each checkout"
    )
    for table in (rates, costs):
        for column in table.columns[1:]:
            column.justify = "right"
    for name, result in taken.items():
        late = (f"{result.quantile_ms(q):.1f}" for q in QUANTILES.values())
        spent_us = result.us_per_checkout()
        cores = f"{result.rate_per_s * sum(spent_us.values()) / 1e6:.1f}"
        rates.add_row(
            name, f"{result.rate_per_s:.0f}", _ratio(result, taken.get(BARE)), *late, cores, str(result.failed or "")
        )
        stores = sum(us for role, us in spent_us.items() if role not in ROLES)
        spent = [spent_us.get(role, 0.0) for role in ROLES]
        counts = (f"{result.per_checkout(event):.2f}" for event in COSTS)
        costs.add_row(name, *(f"{us:.0f}" for us in (*spent, stores, sum(spent_us.values()))), *counts)
    console.print(rates)
    console.print(costs)


def show_open(console: Console, title: str, loads: Mapping[str, tuple[float, Load]]) -> None:
    table = Table(
        "",
        "due /s",
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


def document(taken: Mapping[str, RoundResults]) -> dict[str, Any]:
    """Return the results as plain values. Rates and quantiles are medians of the rounds; `us` is processor time a checkout."""
    return {
        name: {
            "rate_per_s": result.rate_per_s,
            "rates_per_s": [load.rate_per_s for load in result.loads],
            **({"of_bare": median(result.ratios(taken[BARE]))} if BARE in taken else {}),
            "latency_ms": {label: result.quantile_ms(q) for label, q in QUANTILES.items()},
            "us": result.us_per_checkout(),
            "each": {event: result.per_checkout(event) for event in COSTS},
            "failed": result.failed,
        }
        for name, result in taken.items()
    }


def _ratio(result: RoundResults, bare: RoundResults | None) -> str:
    if bare is None:
        return ""
    ratios = result.ratios(bare)
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
