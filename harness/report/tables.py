"""A bench's comparison as CSV and as Markdown: one table of columns feeds both, and the terminal's table too."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from harness.metrics.thresholds import metric
from harness.report.text_table import markdown_line
from harness.run.bench_manifest import describe_pace, describe_setting

Row = Mapping[str, Any]


class Column(NamedTuple):
    """A column: its `name` in CSV, its `title` for readers, and its value `of` a row. `digits` is None for a text.

    A `short` table leaves out the columns that are not `short`.
    """

    name: str
    title: str
    of: Callable[[Row], Any]
    digits: int | None = None
    short: bool = True


def _metric(name: str) -> Callable[[Row], float | None]:
    return lambda row: metric(row, name)


def setting(row: Row) -> str:
    """Return the load and the settings other than the defaults: `8 clients, 2 workers`."""
    pace = row["pace"]
    load = describe_pace(pace["rate_per_s"], pace["clients"], pace["limit_p99_ms"])
    usual = {"workers": 1, "copies": 1, "items": 2, "skew": 0.0}
    return ", ".join(
        (load, *(f"{name} {describe_setting(row[name])}" for name, value in usual.items() if row[name] != value))
    )


COLUMNS = (
    Column("protocol", "protocol", lambda row: row["protocol"]),
    Column("transport", "transport", lambda row: row["transport"], short=False),
    Column("scenario", "faults", lambda row: row["scenario"]),
    Column("setting", "setting", setting),
    Column("verdict", "verdict", lambda row: row["verdict"]),
    Column("asked", "checkouts", lambda row: row["measured"]["asked"], 0),
    Column("ok", "ok", lambda row: row["measured"]["ok"], 0, short=False),
    Column("fail", "rejected", lambda row: row["measured"]["fail"], 0, short=False),
    Column("unknown", "unknown", lambda row: row["measured"]["unknown"], 0),
    Column("rate_per_s", "ok/s", _metric("rate_per_s"), 0),
    Column("capacity_per_s", "capacity, ok/s", _metric("capacity_per_s"), 0),
    Column("found_per_s", "found/s", _metric("found_per_s"), 0),
    Column("p50_ms", "p50 ms", _metric("p50_ms"), 1),
    Column("p90_ms", "p90 ms", _metric("p90_ms"), 1, short=False),
    Column("p99_ms", "p99 ms", _metric("p99_ms"), 1),
    Column("p999_ms", "p99.9 ms", _metric("p999_ms"), 1, short=False),
    Column("max_ms", "max ms", _metric("max_ms"), 0, short=False),
    Column("failed_requests", "failed", _metric("failed_requests"), 0),
    Column("worst_ms", "worst ms", _metric("worst_ms"), 0),
    Column("availability", "available", _metric("availability"), 4, short=False),
    Column("blocked_s", "blocked s", _metric("blocked_s"), 2),
    Column("messages", "messages", _metric("messages"), 1),
    Column("parcels", "batches", _metric("parcels"), 1, short=False),
    Column("forced_writes", "forced", _metric("forced_writes"), 1),
    Column("store_commands", "store cmds", _metric("store_commands"), 1),
    Column("store_operations", "store ops", _metric("store_operations"), 1, short=False),
    Column("cpu_ms", "CPU ms", _metric("cpu_ms"), 2),
    Column("store_cpu_ms", "store CPU ms", _metric("store_cpu_ms"), 2, short=False),
    Column("memory_mb", "memory MB", _metric("memory_mb"), 0),
)


def shown_value(value: Any, digits: int | None) -> str:
    """Return a value as the text of a cell; an unmeasured one is a dash."""
    if value is None:
        return "-"
    return str(value) if digits is None else f"{value:.{digits}f}"


def shown_columns(rows: Sequence[Row]) -> list[Column]:
    """Return the columns of a short table that have a value in any row."""
    return [column for column in COLUMNS if column.short and any(column.of(row) is not None for row in rows)]


def as_csv(rows: Sequence[Row]) -> str:
    """Return every column as CSV, with unrounded numbers; a missing figure is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(column.name for column in COLUMNS)
    writer.writerows([column.of(row) for column in COLUMNS] for row in rows)
    return out.getvalue()


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return the comparison as Markdown, for the summary page of a pipeline."""
    rows = document["rows"]
    columns = shown_columns(rows)
    lines = [f"## wdm bench: {document['verdict']}", ""]
    lines += [f"- {reason}" for reason in document["reasons"]]
    lines += [f"- {_threshold(threshold)}" for threshold in document["thresholds"]]
    lines += [""] if document["reasons"] or document["thresholds"] else []
    lines.append(markdown_line(column.title for column in columns))
    lines.append(markdown_line("---" if column.digits is None else "---:" for column in columns))
    lines += [markdown_line(shown_value(column.of(row), column.digits) for column in columns) for row in rows]
    for row in rows:
        if row["not_judged"]:
            lines += ["", f"**{row['name']}**: not judged: {', '.join(row['not_judged'])}."]
        if row["violations"]:
            names = ", ".join(f"{count} {name}" for name, count in row["violations"].items())
            lines += ["", f"**{row['name']}** broke its claims: {names}."]
    machine = document["machine"]
    lines += [
        "",
        f"{machine['cpus']} CPUs, {machine['system']}, Python {machine['python']}; `{document['command']}`",
        "",
    ]
    return "\n".join(lines)


def _threshold(threshold: Mapping[str, Any]) -> str:
    if threshold["unmeasured"]:
        return f"`{threshold['text']}`: no value was measured for this metric"
    crossed = f"crossed by {'; '.join(threshold['crossed_by'])}"
    return f"fail if `{threshold['text']}`: {'no' if threshold['met'] else crossed}"
