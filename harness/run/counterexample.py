"""Counterexamples: the steps to a violation in a run folder, and their replay on the present code.

`wdm-runs/<time>-check-<protocol>/` has two forms: `counterexample.json` for the replay, `counterexample.txt` for readers.
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


class NotReproducible(Exception):
    """A counterexample that the present code does not reproduce; the message has the reason and the way out."""


class Counterexample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The steps to a violation, with all that a replay needs.

    `crashes` is the bound of the search; `shortest` is true if no shorter counterexample exists.
    """

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
    def of(cls, model_check: ModelCheck, result: SearchResult) -> "Counterexample":
        """Return the counterexample that a search has found."""
        return cls(
            format=formats.COUNTEREXAMPLE,
            wdm=version("wdm"),
            protocol=model_check.protocol,
            options=dict(model_check.options),
            ablate=model_check.ablate,
            participants=model_check.participants,
            transactions=model_check.transactions,
            case=result.case.name,
            crashes=model_check.bounds.crashes,
            violation=result.violation,
            shortest=result.shortest,
            steps=result.path,
        )

    def model_check(self) -> ModelCheck:
        """Return the search that found the counterexample."""
        bounds = Bounds(crashes=self.crashes)
        return ModelCheck(self.protocol, self.options, self.ablate, self.participants, self.transactions, bounds)


def save(runs: Path, model_check: ModelCheck, result: SearchResult) -> Path:
    """Make a run folder with the counterexample and return its path. Raises `EnvironmentFailure` if the disk fails."""
    folder = RunFolder.make(runs, f"check-{model_check.protocol}")
    document = msgspec.json.format(msgspec.json.encode(Counterexample.of(model_check, result)))
    folder.write(COUNTEREXAMPLE, document)
    folder.write("counterexample.txt", describe(model_check, result))
    return folder.path


def load(file: Path) -> Counterexample:
    """Read a counterexample. Raises `formats.Unreadable` if it is damaged or of another format."""
    document = formats.document(file, (formats.COUNTEREXAMPLE,), WAY_OUT)
    try:
        return msgspec.convert(document, Counterexample)
    except msgspec.ValidationError as error:
        raise formats.damaged(file, error, WAY_OUT) from error


def describe_kept(counterexample: Counterexample) -> str:
    """Return the text of a counterexample without a replay. Raises `NotReproducible` if the protocol has no such case now."""
    return describe(counterexample.model_check(), _result(counterexample))


def replay(counterexample: Counterexample) -> SearchResult:
    """Replay a counterexample on the present code and return the violation at its end.

    Raises `NotReproducible` if it is of another version, a step is not possible, or no invariant is violated.
    """
    again = f"`{counterexample.model_check().command()}` searches anew"
    if counterexample.wdm != version("wdm"):
        raise NotReproducible(f"found by wdm {counterexample.wdm}, and this is wdm {version('wdm')}; {again}")
    result = _result(counterexample)
    search = counterexample.model_check().search(result.case)
    state = search.initial
    for number, step in enumerate(counterexample.steps, start=1):
        successor = next((after for possible, after in search.successors(state) if possible == step), None)
        if successor is None:
            raise NotReproducible(
                f"step {number} ({step.kind} {step.node} {step.what}) is not possible any more; {again}"
            )
        state = successor
    violation = search.safety_violation(state.node_states) or search.liveness_violation(state.node_states)
    if not violation:
        raise NotReproducible(f"all {len(counterexample.steps)} steps are possible, and no violation remains; {again}")
    return replace(result, violation=violation)


def _result(counterexample: Counterexample) -> SearchResult:
    model_check = counterexample.model_check()
    case = next((case for case in model_check.cases() if case.name == counterexample.case), None)
    if case is None:
        raise NotReproducible(
            f"there is no case {counterexample.case!r} any more; `{model_check.command()}` searches anew"
        )
    return SearchResult(
        case, 0, 0, 0.0, violation=counterexample.violation, path=counterexample.steps, shortest=counterexample.shortest
    )


def describe(model_check: ModelCheck, result: SearchResult) -> str:
    """Return the text of a counterexample for readers, with a newline at its end."""
    how = "the shortest path has" if result.shortest else "a path (perhaps not the shortest) has"
    lines = [
        f"violated in {result.case.name!r}: {result.violation}",
        f"{how} {len(result.path)} steps:",
        "",
        render(result.path),
        f"again: {model_check.command()}",
    ]
    real = on_real_processes(model_check, result)
    if real:
        lines.append(f"its crash on real processes: {real}")
    return "\n".join(lines) + "\n"
