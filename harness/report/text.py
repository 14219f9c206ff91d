"""The report as text."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.checkers import Judgement, Result, Violation
from harness.checkers.impact import impacts
from harness.checkers.recovery import blocked
from harness.history import Event, History
from harness.report import text_table
from protocols.copies.replication import replication

EXPLAINED = 3
"""The number of violations of one name with an explanation; the others are counted."""

DURABILITY = {
    "everysec": "a store forces its log to the disk once a second: a power cut may lose acknowledged writes of the last second, "
    "or, while a forced write keeps a slow disk busy, of the last two; a killed process loses none; a write that meets a full "
    "disk is acknowledged, and stays only in memory until the disk has space again",
    "always": "a store forces its log to the disk before it answers: neither a killed process, a power cut nor a full disk loses "
    "an acknowledged write",
}
READERS = {"ok": "acknowledged", "fail": "rejected", "unknown": "unknown"}
"""The words for outcomes in texts for readers."""

STANDING = {
    "claimed-and-held": "claimed and held",
    "claimed-and-violated": "CLAIMED AND VIOLATED",
    "not-claimed-and-seen": "seen, not claimed",
    "unknown": "unknown",
    "not-applicable": "not judged",
}


def render(history: History, judgement: Judgement) -> str:
    """Return the whole report, with a newline at its end."""
    parts = (_head, _operations, _faults, _refused, _usage, _claims, _violated, _allowed)
    texts = ("\n".join(part(history, judgement)) for part in parts)
    return "\n\n".join(text for text in texts if text) + "\n"


def _head(history: History, judgement: Judgement) -> Iterator[str]:
    header = history.header
    yield f"{header.scenario}: {header.protocol} on the {header.runtime} runtime, seed {header.seed}"
    ablated = header.config.get("ablate")
    if ablated:
        yield f"without safeguards: {', '.join(ablated)}"
    yield f"verdict: {judgement.verdict}"
    if judgement.not_judged:
        yield f"  but nothing in this run could judge: {'; '.join(judgement.not_judged)}"
    yield from (f"  because {reason}" for reason in judgement.reasons)
    served = _figures(judgement, "availability").get("words")
    if served:
        yield f"availability: {served}"
    yield f"durability {header.durability}: {DURABILITY.get(header.durability, 'as the shop has it')}"
    promise = replication(header.config.get("copies", 1)).promise
    if promise:
        yield f"copies {header.config['copies']}: {promise}"
    if header.config.get("command"):
        yield f"again: {header.config['command']}"


def _operations(_: History, judgement: Judgement) -> Iterator[str]:
    figures = _figures(judgement, "stats")
    counts = figures.get("operations") or {}
    if counts:
        rates = figures.get("rate_per_s", {})
        yield f"operations (load of {figures.get('load_s', 0):.1f} s)"
        rows = [(name, *outcomes.values(), rates.get(name)) for name, outcomes in counts.items()]
        yield from text_table.lines([("", "acknowledged", "rejected", "unknown", "ok/s"), *rows])


def _faults(history: History, judgement: Judgement) -> Iterator[str]:
    faults = blocked(history)
    if not faults:
        rough = "; the simulated network itself delays and loses messages now and then"
        yield f"no fault was injected{rough if history.header.runtime == 'sim' else ''}"
        return
    yield "faults, with the seconds from the start and from the end of each to the success of a checkout that began after it,"
    yield "and the number of operations under way during the fault"
    rows = [
        (
            f"{fault['from_s']:.2f}",
            fault["fault"],
            _target(fault["target"]),
            _seconds(fault["lasted_s"]),
            _seconds(fault["from_start_s"].get("checkout")),
            _seconds((fault["from_end_s"] or {}).get("checkout")),
            "did not happen" if impact.why_not else impact.met,
        )
        for fault, impact in zip(faults, history.derive(impacts), strict=True)
    ]
    yield from text_table.lines([("at", "fault", "target", "lasted", "from start", "from end", "met"), *rows])
    yield from _not_happened(history)
    figures = _figures(judgement, "recovery")
    if figures.get("recovered_after_s") is not None:
        yield f"quiescence {figures['recovered_after_s']:.2f} s after the heal"


def _not_happened(history: History) -> Iterator[str]:
    """Yield a line for each kind of fault that began without an effect, with the reason and the count."""
    counts: dict[tuple[str, str, str], int] = {}
    for impact in history.derive(impacts):
        if impact.why_not:
            key = (impact.fault, impact.target, impact.why_not)
            counts[key] = counts.get(key, 0) + 1
    for (fault, target, why), count in counts.items():
        yield f"did NOT happen: {fault} on {target}, {count} times: {why}"


def _refused(history: History, _: Judgement) -> Iterator[str]:
    refused = history.of_kind("fault-refused")
    if refused:
        yield f"NOT injected: {len(refused)} faults"
        counts: dict[tuple[Any, ...], int] = {}
        for event in refused:
            key = (event.data.get("fault"), _target(event.data.get("target")), event.data.get("why"))
            counts[key] = counts.get(key, 0) + 1
        yield from (f"  {fault} on {target}, {count} times: {why}" for (fault, target, why), count in counts.items())


def _usage(history: History, _: Judgement) -> Iterator[str]:
    for event in history.of_kind("usage"):
        nodes = event.data["nodes"]
        yield "usage of each node: processor time in seconds, highest memory in megabytes"
        rows = [(node["node"], node["cpu_s"], node["memory_mb"]) for node in nodes]
        yield from text_table.lines([("node", "cpu", "memory"), *rows])
        yield f"total: {sum(node['cpu_s'] for node in nodes):.1f} s, {sum(node['memory_mb'] for node in nodes):.0f} MB"


def _claims(_: History, judgement: Judgement) -> Iterator[str]:
    rows = [
        (result.checker, STANDING[result.standing], "; ".join(result.claims) or "-", _seen(result))
        for result in judgement.results
    ]
    yield "claims"
    yield from text_table.lines([("checker", "standing", "claim", "seen"), *rows])


def _violated(_: History, judgement: Judgement) -> Iterator[str]:
    violations = [violation for result in judgement.results for violation in result.violated]
    if violations:
        yield "VIOLATED"
        yield from _explained(violations)


def _allowed(_: History, judgement: Judgement) -> Iterator[str]:
    violations = [violation for result in judgement.results for violation in result.allowed]
    if violations:
        yield "seen and allowed: the protocol claims no property that excludes these"
        yield from _explained(violations)


def _explained(violations: Sequence[Violation]) -> Iterator[str]:
    """Yield the explanations of the first violations of each name, and the number of the others."""
    counts: dict[str, int] = {}
    for violation in violations:
        counts[violation.name] = counts.get(violation.name, 0) + 1
        if counts[violation.name] <= EXPLAINED:
            yield f"- {violation.name}: {violation.explanation}"
    yield from (f"- {name}: {count - EXPLAINED} more" for name, count in counts.items() if count > EXPLAINED)


def _seen(result: Result) -> str:
    counts = result.finding.figures.get("violations") or {}
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "-"


def _figures(judgement: Judgement, checker: str) -> dict[str, Any]:
    return next((result.finding.figures for result in judgement.results if result.checker == checker), {})


def _target(target: Any) -> str:
    return ", ".join(map(str, target)) if isinstance(target, list | tuple) else str(target or "-")


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.2f}"


def headline(history: History, judgement: Judgement) -> str:
    """Return one line with the verdict and its evidence."""
    tally = dict.fromkeys(("ok", "fail", "unknown"), 0)
    for operation in history.operations:
        if operation.op == "checkout":
            tally[operation.outcome] += 1
    faults = len(history.of_kind("fault-start"))
    names = dict.fromkeys(violation.name for result in judgement.results for violation in result.violated)
    why = f" ({', '.join(names)})" if names else f" ({judgement.reasons[0]})" if judgement.reasons else ""
    checkouts = ", ".join(f"{count} {READERS[outcome]}" for outcome, count in tally.items())
    left_out = not_judged(judgement) + no_success(judgement)
    return f"{judgement.verdict}{why}{left_out}: checkouts {checkouts}; {faults} faults"


def no_success(judgement: Judgement) -> str:
    """Return the words for a shop without a success after its first fault; empty for other runs.

    A shop that rejects every checkout keeps its claims, and a headline without these words would hide that.
    """
    figures = _figures(judgement, "availability")
    return ", no checkout succeeded after the first fault" if figures.get("asked") and not figures["succeeded"] else ""


def not_judged(judgement: Judgement) -> str:
    """Return the claims that nothing in the run could judge, in words that follow the verdict; empty if none."""
    return f", not judged: {', '.join(judgement.not_judged)}" if judgement.not_judged else ""


_PROGRESS: Mapping[str, str] = {
    "phase": "{name}",
    "fault-start": "{fault} {target} {said}",
    "fault-end": "{fault} {target} is over",
    "fault-refused": "{fault} {target} is NOT injected: {why}",
    "healed": "healed",
    "trouble": "{why}",
}


def describe_progress(event: Event) -> str:
    """Return an event as a line of progress; empty for an event without one."""
    known = defaultdict(str, event.data)
    return _PROGRESS.get(event.kind, "").format_map(known).strip()
