"""The way to a violation as a run folder keeps it, and how it is walked again on the code of today.

`wdm-runs/<time>-check-<protocol>/` has it twice: `counterexample.json` to walk, `counterexample.txt` to read.
"""

from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import msgspec

from harness import formats
from harness.explore.breadth import Bounds
from harness.explore.search import SearchResult
from harness.explore.space import Transition
from harness.explore.suite import ModelCheck, on_real_processes
from harness.explore.transcript import render
from harness.run.folder import RunFolder

COUNTEREXAMPLE = "counterexample.json"


WAY_OUT = "`wdm check` searches anew"


class Unwalkable(Exception):
    """The way that was kept cannot be walked; the message says why, and what to do."""


class Counterexample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that it takes to walk it. ``crashes`` is the bound of the search, ``shortest`` whether no way is shorter."""

    format: int
    wdm: str
    protocol: str
    options: dict[str, str]
    ablate: tuple[str, ...]
    participants: int | None
    transactions: int | None
    case: str
    crashes: int
    violation: str
    shortest: bool
    steps: tuple[Transition, ...]

    @classmethod
    def of(cls, model_check: ModelCheck, found: SearchResult) -> "Counterexample":
        return cls(
            format=formats.COUNTEREXAMPLE,
            wdm=version("wdm"),
            protocol=model_check.protocol,
            options=dict(model_check.options),
            ablate=model_check.ablate,
            participants=model_check.participants,
            transactions=model_check.transactions,
            case=found.case.name,
            crashes=model_check.bounds.crashes,
            violation=found.violation,
            shortest=found.shortest,
            steps=found.path,
        )

    def model_check(self) -> ModelCheck:
        bounds = Bounds(crashes=self.crashes)
        return ModelCheck(self.protocol, self.options, self.ablate, self.participants, self.transactions, bounds)


def keep(runs: Path, model_check: ModelCheck, found: SearchResult) -> Path:
    """A new run folder with the way to a violation. Raises `EnvironmentFailure` if the disk does not let it."""
    folder = RunFolder.make(runs, f"check-{model_check.protocol}")
    kept = msgspec.json.format(msgspec.json.encode(Counterexample.of(model_check, found)))
    folder.write(COUNTEREXAMPLE, kept)
    folder.write("counterexample.txt", told(model_check, found))
    return folder.path


def load(file: Path) -> Counterexample:
    """Raises `formats.Unreadable` if it is damaged or of another format."""
    said = formats.document(file, (formats.COUNTEREXAMPLE,), WAY_OUT)
    try:
        return msgspec.convert(said, Counterexample)
    except msgspec.ValidationError as error:
        raise formats.damaged(file, error, WAY_OUT) from error


def shown(kept: Counterexample) -> str:
    """The violation as it was found, without walking to it. Raises `Unwalkable` where today's protocol has no such case."""
    return told(kept.model_check(), _found(kept))


def walk_again(kept: Counterexample) -> SearchResult:
    """What it leads to today. Raises `Unwalkable` if it is another version's, a step is not possible, or nothing breaks."""
    again = f"`{kept.model_check().command()}` searches anew"
    if kept.wdm != version("wdm"):
        raise Unwalkable(f"found by wdm {kept.wdm}, and this is wdm {version('wdm')}; {again}")
    found = _found(kept)
    search = kept.model_check().search(found.case)
    state = search.initial
    for number, step in enumerate(kept.steps, start=1):
        after = next((after for possible, after in search.successors(state) if possible == step), None)
        if after is None:
            raise Unwalkable(f"step {number} ({step.kind} {step.node} {step.what}) is not possible any more; {again}")
        state = after
    violation = search.safety_violation(state.node_states) or search.liveness_violation(state.node_states)
    if not violation:
        raise Unwalkable(f"all {len(kept.steps)} steps are possible, and no violation remains; {again}")
    return replace(found, violation=violation)


def _found(kept: Counterexample) -> SearchResult:
    model_check = kept.model_check()
    case = next((case for case in model_check.cases() if case.name == kept.case), None)
    if case is None:
        raise Unwalkable(f"there is no case {kept.case!r} any more; `{model_check.command()}` searches anew")
    return SearchResult(case, 0, 0, 0.0, violation=kept.violation, path=kept.steps, shortest=kept.shortest)


def told(model_check: ModelCheck, found: SearchResult) -> str:
    """The violation as a person reads it. It ends with a newline."""
    how = "the shortest path has" if found.shortest else "a path (perhaps not the shortest) has"
    lines = [
        f"violated in {found.case.name!r}: {found.violation}",
        f"{how} {len(found.path)} steps:",
        "",
        render(found.path),
        f"again: {model_check.command()}",
    ]
    real = on_real_processes(model_check, found)
    if real:
        lines.append(f"its crash on real processes: {real}")
    return "\n".join(lines) + "\n"
