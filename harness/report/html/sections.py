"""The sections of a page in their order, one row each. A section without content is left out."""

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from harness.checkers import Result, Violation
from harness.report.html import words
from harness.report.html.charts import bars, distribution, ranges, sequence, timeline
from harness.report.html.charts.frame import target
from harness.report.html.sequence_diagram import SequenceDiagram, SequenceIndex, examples, service_of
from harness.report.html.views import CaseView, Page
from harness.report.tables import shown_columns, shown_value
from harness.report.text import DURABILITY, STANDING

BESIDE = frozenset(
    (
        *("verdict", "asked", "unknown", "rate_per_s", "capacity_per_s", "found_per_s", "p50_ms", "p99_ms"),
        *("failed_requests", "worst_ms", "blocked_s"),
    )
)
"""The columns of the table side by side; the cost of a checkout has its own section."""

MOST_TIMELINES = 12
MOST_DIAGRAMS = 6
MOST_EXAMPLES = 3

COSTS = (
    ("messages", "Messages a checkout", "", 1),
    ("forced_writes", "Forced writes a checkout", "", 1),
    ("store_commands", "Store commands a checkout", "", 1),
    ("cpu_ms", "CPU of services and gateway a checkout", "ms", 2),
    ("store_cpu_ms", "CPU of the stores a checkout", "ms", 2),
    ("memory_mb", "Memory, all nodes", "MB", 0),
)


WORST_FIRST = ("claimed-and-violated", "unknown", "not-claimed-and-seen", "claimed-and-held", "not-applicable")


class Section(NamedTuple):
    """A section. `context` returns the values for its template `sections/NAME.html.j2`, or None to leave it out."""

    name: str
    title: str
    context: Callable[[Page], Mapping[str, Any] | None]


def verdict(page: Page) -> Mapping[str, Any]:
    """Return the headline, and a card for each case."""
    if page.kind == "run":
        view = page.views[0]
        line = words.headline(view.label, view.verdict, view.first.judgement.not_judged)
        lede = words.lede(view.first)
    else:
        by: dict[str, list[str]] = {}
        for view in page.views:
            by.setdefault(view.first.candidate, []).append(view.verdict)
        line = words.several({name: worst_verdict(verdicts) for name, verdicts in by.items()})
        line += words.but(claim for view in page.views for run in view.runs for claim in run.judgement.not_judged)
        lede = next((f"{view.label}: {lede}" for view in page.views if (lede := words.lede(view.first))), "")
    return {
        "headline": line,
        "lede": lede,
        "cards": [
            {
                "label": view.label,
                "verdict": view.verdict,
                "mark": words.MARKS[view.verdict],
                "counts": [sentence for run in view.runs for sentence in words.counts(run.judgement)][:6],
                "facts": _summary(view),
            }
            for view in page.views
        ],
        "overall": page.document.get("verdict", worst_verdict([view.verdict for view in page.views])),
        "thresholds": page.document.get("thresholds") or (),
    }


def worst_verdict(verdicts: list[str]) -> str:
    """Return the worst of these verdicts."""
    return next((verdict for verdict in ("violated", "unknown", "holds") if verdict in verdicts), "unknown")


def _summary(view: CaseView) -> str:
    measured = view.measured
    faults = sum(len(run.measured.faults) for run in view.runs)
    counts = f"{measured.ok} acknowledged, {measured.fail} rejected, {measured.unknown} unknown"
    failed = measured.failed_requests
    facts = [
        f"{measured.asked} checkouts under load: {counts}",
        f"{failed or 'no'} request{'s' * (failed != 1)} failed",
    ]
    if measured.worst_ms is not None:
        facts.append(f"worst latency {measured.worst_ms:.0f} ms")
    facts.append(f"{faults or 'no'} fault{'s' * (faults != 1)}")
    if measured.blocked_s is not None:
        facts.append(f"without a success for up to {measured.blocked_s:.2f} s after the start of one")
    return "; ".join(facts)


def wrong(page: Page) -> Mapping[str, Any] | None:
    """Return the violations of each order with its checkout, and the violations of no single order."""
    views = [context for view in page.views for context in _violations_of(view)]
    return {"views": views} if views else None


def _violations_of(view: CaseView) -> Iterator[Mapping[str, Any]]:
    """Yield the violations of each run, by order."""
    for run, index in zip(view.runs, view.sequences, strict=True):
        broken = [violation for result in run.judgement.results for violation in result.violated]
        if not broken:
            continue
        by_order: dict[str, list[Violation]] = {}
        others = []
        for violation in broken:
            order = next((key.removeprefix("order ") for key in violation.keys if key.startswith("order ")), None)
            by_order.setdefault(order, []).append(violation) if order else others.append(violation)
        checkouts = [_checkout(index, order, broken) for order, broken in islice(by_order.items(), MOST_DIAGRAMS)]
        yield {
            "label": view.label if len(view.runs) == 1 else f"{view.label}, round {run.round}",
            "counts": words.counts(run.judgement),
            "checkouts": checkouts,
            "left_out": len(by_order) - len(checkouts),
            "others": [words.first_line(violation) for violation in others[:8]],
        }


def _checkout(index: SequenceIndex, order: str, violations: list[Violation]) -> Mapping[str, Any]:
    """Return the violations, the attempts and the diagram of one order."""
    diagram, history = index.diagram(order), index.run.history
    short = words.shortened(order)
    attempts = diagram.attempts if diagram else ()
    figure = None
    if diagram:
        figure = sequence.figure(f"order-{short}", f"The checkout of order {short}", diagram)
    return {
        "order": short,
        "violations": [words.first_line(violation) for violation in violations],
        "attempts": words.describe_attempts(history, attempts[:4]),
        "meanwhile": words.meanwhile(history, index.run.measured.faults, attempts),
        "figure": figure,
        "left_out": diagram.left_out if diagram else 0,
    }


def comparison(page: Page) -> Mapping[str, Any] | None:
    """Return the table of all cases, and charts of latency and throughput with one scale each."""
    rows = page.document.get("rows")
    if page.kind == "run" or not page.views:
        return None
    cases = [(view.label, view.look, view.measured) for view in page.views]
    figures = [ranges.figure("latency", "Latency, median to 99th percentile", cases)]
    capacity = [
        (view.label, view.look, view.measured.capacity_per_s)
        for view in page.views
        if view.measured.capacity_per_s is not None
    ]
    if capacity:
        figures.append(bars.figure("capacity", "Capacity: successful checkouts a second", "/s", capacity, 0))
    succeeded = [(view.label, view.look, view.measured.rate_per_s) for view in page.views]
    figures.append(bars.figure("rate", "Successful checkouts a second under load", "/s", succeeded, 0))
    searched = [
        (view.label, view.look, view.measured.found_per_s)
        for view in page.views
        if view.measured.found_per_s is not None
    ]
    if searched:
        figures.append(bars.figure("found", "Highest rate within the latency limit", "/s", searched, 0))
    table = None
    if rows:
        columns = [column for column in shown_columns(rows) if column.name in BESIDE]
        table = {
            "headers": ["case", *(column.title for column in columns)],
            "rows": [
                [view.label, *(shown_value(column.of(view.row), column.digits) for column in columns)]
                for view in page.views
                if view.row
            ],
        }
    return {
        "figures": figures,
        "rows_table": table,
        "spread": [(view.label, view.row["spread"]) for view in page.views if view.row and view.row["spread"]],
    }


def cost(page: Page) -> Mapping[str, Any] | None:
    """Return the costs of a checkout: facts of a single case, charts of several."""
    if len(page.views) == 1:
        spent = page.views[0].measured.cost
        facts = [
            (title, f"{spent[key]:.{digits}f} {unit}".strip())
            for key, title, unit, digits in COSTS
            if spent.get(key) is not None
        ]
        return {"figures": [], "facts": facts} if facts else None
    figures = []
    for key, title, unit, digits in COSTS:
        values = [(view.label, view.look, view.measured.cost.get(key)) for view in page.views]
        if any(value is not None for _, _, value in values):
            figures.append(bars.figure(f"cost-{key}", title, unit, values, digits))
    return {"figures": figures, "facts": []} if figures else None


def time(page: Page) -> Mapping[str, Any] | None:
    """Return each case over time (its first round), with its faults."""
    timelines = []
    for number, view in enumerate(page.views[:MOST_TIMELINES]):
        measured = view.first.measured
        timelines.append(
            {
                "label": view.label,
                "figure": timeline.figure(f"time-{number}", view.label, measured),
                "faults": [_fault(fault) for fault in measured.faults],
                "refused": _refused(view),
            }
        )
    return {"views": timelines, "left_out": len(page.views) - len(timelines)} if timelines else None


def _fault(fault: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the row of a fault in the table of faults."""
    starts, ends = fault["from_start_s"].get("checkout"), (fault["from_end_s"] or {}).get("checkout")
    lasted = fault["lasted_s"]
    never = "never again"
    return (
        f"{fault['from_s']:.2f}",
        str(fault["fault"]),
        target(dict(fault)),
        "-" if lasted is None else f"{lasted:.2f}",
        never if starts is None else f"{starts:.2f}",
        never if ends is None else f"{ends:.2f}",
    )


def _refused(view: CaseView) -> list[str]:
    """Return the faults that were not injected, with their reasons."""
    refused = [event.data for event in view.first.history.of_kind("fault-refused")]
    return list(dict.fromkeys(f"{data.get('fault')} {data.get('target')}: {data.get('why')}" for data in refused))


def spread(page: Page) -> Mapping[str, Any] | None:
    """Return the distributions of latencies, with all cases of the same faults in one chart."""
    by: dict[str, list[CaseView]] = {}
    for view in page.views:
        by.setdefault(view.first.history.header.scenario if page.kind == "bench" else "", []).append(view)
    figures = [
        distribution.figure(
            f"spread-{number}-{part}",
            scenario or "All checkouts",
            [(view.label, view.look, view.measured) for view in views[part : part + 6]],
        )
        for number, (scenario, views) in enumerate(by.items())
        for part in range(0, min(len(views), 12), 6)
        if any(view.measured.asked for view in views[part : part + 6])
    ]
    return {"figures": figures} if figures else None


def course(page: Page) -> Mapping[str, Any] | None:
    """Return a successful and a rejected checkout of each candidate."""
    examples_by_name: dict[str, list[Mapping[str, Any]]] = {}
    for view in page.views:
        name = view.first.candidate
        if name in examples_by_name or len(examples_by_name) >= MOST_EXAMPLES:
            continue
        drawn = [_example(name, outcome, diagram) for outcome, diagram in examples(view.sequences[0]).items()]
        if drawn:
            examples_by_name[name] = drawn
    return {"candidates": examples_by_name} if examples_by_name else None


def _example(name: str, outcome: str, diagram: SequenceDiagram) -> Mapping[str, Any]:
    """Return the title, the description and the figure of an example."""
    undone = " and undone" if len({service_of(node) for node in diagram.nodes}) > 1 else ""
    title = "A checkout that succeeded" if outcome == "ok" else f"A checkout that was rejected{undone}"
    short = words.shortened(diagram.order)
    answer = "acknowledged" if outcome == "ok" else "rejected"
    reason = str(diagram.attempts[0].value or "")
    return {
        "title": title,
        "about": f"Order {short}; its checkout was {answer}{f': {reason}' if outcome == 'fail' and reason else ''}.",
        "figure": sequence.figure(f"course-{name}-{outcome}".replace(" ", "-"), f"{title}, {name}", diagram),
    }


def claims(page: Page) -> Mapping[str, Any]:
    """Return a table a candidate: its claims, and the observations in each of its cases."""
    by: dict[str, list[CaseView]] = {}
    for view in page.views:
        by.setdefault(view.first.candidate if page.kind == "bench" else view.label, []).append(view)
    tables = []
    for name, views in by.items():
        results = views[0].first.judgement.results
        rows = [
            {
                "checker": result.checker,
                "claimed": "; ".join(result.claims) or "-",
                "seen": [_seen(view, result.checker) for view in views],
            }
            for result in results
        ]
        heads = [view.label.removeprefix(f"{name}, ") if len(views) > 1 else "observed" for view in views]
        tables.append({"label": name, "heads": heads, "rows": rows})
    durabilities = dict.fromkeys(view.first.history.header.durability for view in page.views)
    return {
        "tables": tables,
        "durabilities": [(name, DURABILITY.get(name, "as the shop has it")) for name in durabilities],
    }


def _seen(view: CaseView, checker: str) -> Mapping[str, str]:
    """Return the worst result of a checker in all rounds."""
    results = [result for run in view.runs for result in run.judgement.results if result.checker == checker]
    return _claim(min(results, key=lambda result: WORST_FIRST.index(result.standing)))


def _claim(result: Result) -> Mapping[str, str]:
    counts = result.finding.figures.get("violations") or {}
    seen = ", ".join(f"{count} {name}" for name, count in counts.items())
    return {
        "standing": result.standing,
        "words": STANDING[result.standing].lower(),
        "seen": seen or "; ".join(result.finding.reasons),
    }


def again(page: Page) -> Mapping[str, Any]:
    """Return the configuration of the run and the command that repeats it."""
    return {
        "facts": page.facts,
        "command": page.command,
        "runs": [run.name for view in page.views for run in view.runs],
    }


SECTIONS = (
    Section("verdict", "Verdict", verdict),
    Section("wrong", "Violations", wrong),
    Section("comparison", "Side by side", comparison),
    Section("cost", "Cost of a checkout", cost),
    Section("time", "Over time", time),
    Section("spread", "Distribution of latencies", spread),
    Section("course", "The steps of a checkout", course),
    Section("claims", "Claimed and observed", claims),
    Section("again", "Configuration and command", again),
)
