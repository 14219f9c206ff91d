"""What a pipeline may ask of a bench: `p99_ms > 50` fails it, `2pc@fault-free: messages > 8` where only one row is meant."""

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
PLAIN = ("rate_per_s", "offered_per_s", "capacity_per_s", "found_per_s", "availability", "blocked_s", "unknown_share")
METRICS = (*LATENCY, *PLAIN, *COST)

_FORM = re.compile(r"\s*(?:(?P<whose>[^:]+?)\s*:)?\s*(?P<metric>\w+)\s*(?P<sign>>=|<=|>|<)\s*(?P<value>[-+.\deE]+)\s*")


class Threshold(NamedTuple):
    """It is crossed by a row whose `metric` compares so with `value`. `protocol` and `scenario` are empty for any."""

    text: str
    metric: str
    sign: str
    value: float
    protocol: str = ""
    scenario: str = ""

    def crossed(self, row: Mapping[str, Any]) -> bool:
        found = metric(row, self.metric)
        return self.concerns(row) and found is not None and OPERATORS[self.sign](found, self.value)

    def concerns(self, row: Mapping[str, Any]) -> bool:
        return self.protocol in ("", row["protocol"]) and self.scenario in ("", row["scenario"])


def parse(text: str) -> Threshold:
    """Raises `UsageError` naming what is wrong with it."""
    found = _FORM.fullmatch(text)
    try:
        value = float(found["value"]) if found else None
    except ValueError:
        value = None
    if found is None or value is None:
        raise UsageError(
            f"--fail-if takes '[PROTOCOL][@SCENARIO:] METRIC > NUMBER', such as 'p99_ms > 50', not {text!r}"
        )
    if found["metric"] not in METRICS:
        raise UsageError(f"--fail-if knows no metric {found['metric']!r}; there are: {', '.join(METRICS)}")
    if not 0 <= value < math.inf:
        raise UsageError(
            f"--fail-if {text!r}: no row has a {found['metric']} below 0 or without end; give a finite number of at least 0"
        )
    protocol, at, scenario = (part.strip() for part in (found["whose"] or "").partition("@"))
    if (at and not scenario) or (found["whose"] is not None and not (protocol or scenario)):
        raise UsageError(f"--fail-if {text!r} names no row before its colon; leave out a part to match any")
    return Threshold(text.strip(), found["metric"], found["sign"], value, protocol, scenario)


def metric(row: Mapping[str, Any], name: str) -> float | None:
    """A figure of a row; None where it was not measured."""
    measured = row["measured"]
    if name == "unknown_share":
        return measured["unknown"] / measured["asked"] if measured["asked"] else None
    found = (
        measured["latency"].get(name)
        if name in LATENCY
        else measured["cost"].get(name)
        if name in COST
        else measured[name]
    )
    return None if found is None else float(found)


def judge(thresholds: tuple[Threshold, ...], rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each with the rows that cross it; one that no row has a figure for is `unmeasured`, and counts as crossed."""
    found = []
    for each in thresholds:
        crossed = [row["name"] for row in rows if each.crossed(row)]
        seen = [row for row in rows if each.concerns(row) and metric(row, each.metric) is not None]
        found.append(
            {"text": each.text, "met": not crossed and bool(seen), "crossed_by": crossed, "unmeasured": not seen}
        )
    return found
