"""The conditions of `--fail-if`: `p99_ms > 50` for any row, `2pc@fault-free: messages > 8` for one."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from protocols.errors import UsageError

OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
LATENCY = ("p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "mean_ms")
COST = (
    "messages",
    "parcels",
    "forced_writes",
    "store_commands",
    "store_operations",
    "cpu_ms",
    "store_cpu_ms",
    "memory_mb",
)
PLAIN = (
    "rate_per_s",
    "offered_per_s",
    "capacity_per_s",
    "found_per_s",
    "failed_requests",
    "worst_ms",
    "availability",
    "blocked_s",
    "unknown_share",
)
METRICS = (*LATENCY, *PLAIN, *COST)

_FORM = re.compile(r"\s*(?:(?P<whose>[^:]+?)\s*:)?\s*(?P<metric>\w+)\s*(?P<sign>>=|<=|>|<)\s*(?P<value>[-+.\deE]+)\s*")


class Threshold(NamedTuple):
    """A condition: a row whose `metric` compares by `sign` with `value` crosses it. Empty `protocol` or `scenario`: any."""

    text: str
    metric: str
    sign: str
    value: float
    protocol: str = ""
    scenario: str = ""

    def crossed(self, row: Mapping[str, Any]) -> bool:
        figure = metric(row, self.metric)
        return self.concerns(row) and figure is not None and OPERATORS[self.sign](figure, self.value)

    def concerns(self, row: Mapping[str, Any]) -> bool:
        return self.protocol in ("", row["protocol"]) and self.scenario in ("", row["scenario"])


def parse(text: str) -> Threshold:
    """Parse a condition. Raises `UsageError` with the mistake in it."""
    match = _FORM.fullmatch(text)
    try:
        value = float(match["value"]) if match else None
    except ValueError:
        value = None
    if match is None or value is None:
        raise UsageError(
            f"--fail-if takes '[PROTOCOL][@SCENARIO:] METRIC > NUMBER', such as 'p99_ms > 50', not {text!r}"
        )
    if match["metric"] not in METRICS:
        raise UsageError(f"--fail-if knows no metric {match['metric']!r}; there are: {', '.join(METRICS)}")
    if not 0 <= value < math.inf:
        raise UsageError(
            f"--fail-if {text!r}: no row has a {match['metric']} below 0 or without end; give a finite number of at least 0"
        )
    protocol, at, scenario = (part.strip() for part in (match["whose"] or "").partition("@"))
    if (at and not scenario) or (match["whose"] is not None and not (protocol or scenario)):
        raise UsageError(f"--fail-if {text!r} names no row before its colon; leave out a part to match any")
    return Threshold(text.strip(), match["metric"], match["sign"], value, protocol, scenario)


def metric(row: Mapping[str, Any], name: str) -> float | None:
    """Return a figure of a row; None if it was not measured."""
    measured = row["measured"]
    if name == "unknown_share":
        return measured["unknown"] / measured["asked"] if measured["asked"] else None
    figure = (
        measured["latency"].get(name)
        if name in LATENCY
        else measured["cost"].get(name)
        if name in COST
        else measured[name]
    )
    return None if figure is None else float(figure)


def judge(thresholds: tuple[Threshold, ...], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return each condition with the rows that cross it.

    A condition without a figure in any row is `unmeasured` and counts as crossed: a misspelt row must not pass a pipeline.
    """
    judged = []
    for threshold in thresholds:
        crossed = [row["name"] for row in rows if threshold.crossed(row)]
        seen = [row for row in rows if threshold.concerns(row) and metric(row, threshold.metric) is not None]
        judged.append(
            {"text": threshold.text, "met": not crossed and bool(seen), "crossed_by": crossed, "unmeasured": not seen}
        )
    return judged
