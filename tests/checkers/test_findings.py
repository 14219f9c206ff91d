"""The findings of all checkers on the edited histories, word for word. `--rewrite-golden` writes them anew: read the diff."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.checkers import CHECKERS, Finding
from harness.history import History
from tests.checkers.benign import BENIGN, UNDECIDED
from tests.checkers.history_builder import a_run, changed
from tests.checkers.violations import VIOLATIONS

CORPUS = {
    "violations": {name: case.edit for name, case in VIOLATIONS.items()},
    "benign": BENIGN,
    "undecided": UNDECIDED,
}
LATER_NS = 7_000_000_000_000


def later(history: History) -> History:
    """The same history on a machine whose clock began earlier."""
    return History(
        history.header,
        [
            changed(
                operation, invoked_ns=operation.invoked_ns + LATER_NS, completed_ns=operation.completed_ns + LATER_NS
            )
            for operation in history.operations
        ],
        [msgspec.structs.replace(event, at_ns=event.at_ns + LATER_NS) for event in history.events],
        history.complete,
    )


def plain(value: Any) -> Any:
    """The value without the fields that are zero or missing."""
    if isinstance(value, dict):
        return {name: plain(field) for name, field in value.items() if field}
    return [plain(element) for element in value] if isinstance(value, list) else value


def lines(name: str, finding: Finding, usual: dict[str, Any]) -> Iterator[str]:
    """The lines of one checker: reasons, and the violations and figures that differ from those of the history without an edit."""
    same = finding.figures.get("violations") == usual.get("violations")
    for violation in () if same else finding.violations:
        yield f"{name}: {violation.name}: {violation.explanation.partition(chr(10))[0]}"
        evidence = [" ".join(map(str, (operation.op, *operation.args))) for operation in violation.evidence]
        yield f"  of {', '.join(violation.keys)}: {'; '.join(evidence)}"
    yield from (f"{name}: {reason}" for reason in finding.reasons if finding.verdict != "not-applicable")
    figures = [f"{figure} {plain(value)}" for figure, value in finding.figures.items() if value != usual.get(figure)]
    if figures:
        yield f"{name}: {'; '.join(figures)}"


def findings(history: History, usual: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, figures in usual.items():
        yield from lines(name, CHECKERS[name].check(history), figures)


@pytest.mark.parametrize("part", CORPUS)
def test_the_findings_are_as_written(part: str, request: pytest.FixtureRequest) -> None:
    unedited = a_run().history()
    usual = {name: checker.check(unedited).figures for name, checker in CHECKERS.items() if name != "stats"}
    text = ""
    for name, edit in CORPUS[part].items():
        found = list(findings(edit().history(), usual))
        assert list(findings(later(edit().history()), usual)) == found, name
        text += "\n".join([f"# {name}", *found, "", ""])
    golden = Path(__file__).parent / "findings" / f"{part}.txt"
    if request.config.getoption("--rewrite-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, "utf-8")
    assert text == golden.read_text("utf-8")
