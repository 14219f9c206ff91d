"""The content of a page: one run, two compared runs, or the cases of a bench. The sections read a `Page`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from harness.metrics.aggregate import merged, worst
from harness.metrics.measure import Measured
from harness.report.html.sequence_diagram import SequenceIndex
from harness.report.html.svg import Look
from harness.report.runs import BenchResults, Run
from harness.report.tables import setting

PLAIN = Look()


@dataclass(frozen=True)
class CaseView:
    """One case with all its rounds. `row` is its row of the comparison, if any; `look` is its style in charts."""

    label: str
    runs: Sequence[Run]
    row: Mapping[str, Any] | None = None
    look: Look = PLAIN

    @cached_property
    def measured(self) -> Measured:
        return merged([run.measured for run in self.runs])

    @property
    def first(self) -> Run:
        return self.runs[0]

    @property
    def verdict(self) -> str:
        return worst([run.judgement.verdict for run in self.runs])

    @cached_property
    def sequences(self) -> list[SequenceIndex]:
        return [SequenceIndex(run) for run in self.runs]


@dataclass(frozen=True)
class Page:
    """The page of a run, a bench or a comparison (`kind`). `document` is that of `results.json`."""

    kind: str
    title: str
    views: Sequence[CaseView]
    document: Mapping[str, Any]
    reasons: Sequence[str] = ()
    partial: str = ""
    command: str = ""
    facts: Sequence[tuple[str, str]] = field(default_factory=tuple)


def of_run(run: Run, document: Mapping[str, Any]) -> Page:
    header = run.history.header
    return Page(
        kind="run",
        title=f"{run.candidate} under {header.scenario}, seed {header.seed}",
        views=[CaseView(run.candidate, [run])],
        document=document,
        reasons=run.judgement.reasons,
        partial="" if run.history.complete else "the run was cut short; its history until then is judged",
        command=str(header.config.get("command") or ""),
        facts=_facts(run),
    )


def of_two(first: Run, second: Run, document: Mapping[str, Any]) -> Page:
    views = [
        CaseView(f"{letter}: {run.candidate}, {run.history.header.scenario}", [run], look=Look(number))
        for number, (letter, run) in enumerate(zip("AB", (first, second), strict=True))
    ]
    commands = [str(run.history.header.config.get("command") or "") for run in (first, second)]
    cut = [view.label for view in views if not view.first.history.complete]
    return Page(
        kind="comparison",
        title=f"{first.name} and {second.name}",
        views=views,
        document=document,
        partial=f"cut short: {', '.join(cut)}" if cut else "",
        command="\n".join(filter(None, commands)),
    )


def of_bench(results: BenchResults, document: Mapping[str, Any]) -> Page:
    manifest = results.manifest
    by_name = {row["name"]: row for row in document["rows"]}
    settings = {setting(row) for row in document["rows"]}
    candidates = list(dict.fromkeys(runs[0].candidate for runs in results.runs.values() if runs))
    scenarios = list(dict.fromkeys(runs[0].history.header.scenario for runs in results.runs.values() if runs))
    views = [
        CaseView(
            _label(runs[0], by_name[name], several=len(settings) > 1),
            runs,
            by_name[name],
            Look(candidates.index(runs[0].candidate), scenarios.index(runs[0].history.header.scenario) > 0),
        )
        for name, runs in results.runs.items()
        if runs
    ]
    views.sort(key=lambda view: scenarios.index(view.first.history.header.scenario))
    machine = manifest.machine
    return Page(
        kind="bench",
        title=f"wdm bench, seed {manifest.seed}",
        views=views,
        document=document,
        reasons=document["reasons"],
        partial="" if document["complete"] else (manifest.trouble or "not every run left a whole history"),
        command=manifest.command,
        facts=[
            (
                "load",
                f"{next(iter(settings), '-')} for {manifest.duration_s:g} s each"
                if len(settings) == 1
                else f"{manifest.duration_s:g} s each",
            ),
            ("rounds", str(manifest.rounds)),
            ("runtime", manifest.runtime),
            ("durability", manifest.durability),
            ("machine", f"{machine.get('cpus')} CPUs, {machine.get('system')}, Python {machine.get('python')}"),
            ("load of the machine before the run", str(machine.get("load_before"))),
            ("wdm", manifest.wdm),
        ],
    )


def _label(run: Run, row: Mapping[str, Any], *, several: bool) -> str:
    words = f"{run.candidate}, {row['scenario']}"
    return f"{words}, {setting(row)}" if several else words


def _facts(run: Run) -> list[tuple[str, str]]:
    header, config = run.history.header, run.history.header.config
    facts = [
        ("protocol", header.protocol),
        ("scenario", header.scenario),
        ("workload", header.workload),
        ("runtime", header.runtime),
        ("transport", config.get("transport", "-")),
        ("durability", header.durability),
        ("seed", header.seed),
        ("instances of a service", config.get("workers", "-")),
        ("copies of a store", config.get("copies", 1)),
        ("load", f"{config.get('duration_s', '-')} s"),
        ("time limit of a request", f"{config.get('time_limit_s', '-')} s"),
        ("options", ", ".join(f"{k}={v}" for k, v in (config.get("options") or {}).items()) or "-"),
        ("ablated safeguards", ", ".join(config.get("ablate") or []) or "-"),
        ("wdm", config.get("wdm", "-")),
        ("Python", config.get("python", "-")),
    ]
    return [(name, str(value)) for name, value in facts]
