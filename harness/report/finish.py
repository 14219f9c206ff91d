"""From a run folder to a verdict: the judgement of its history, and every report."""

import json
from dataclasses import dataclass

import msgspec

from harness.checkers import Judgement
from harness.checkers.verdict import examine
from harness.history import History, spans
from harness.history import load as load_history
from harness.report import junit, pages, results, summary, text
from harness.report.runs import Run
from harness.run.folder import TRACE, RunFolder
from harness.run.record import Recording, digest


@dataclass(frozen=True, slots=True)
class Finished:
    """A judged run. `digest` is equal for two equal executions; empty on a runtime that has none."""

    folder: RunFolder
    history: History
    judgement: Judgement
    digest: str
    interrupted: bool


def finish(recording: Recording) -> Finished:
    """Judge the history of `recording`, and write every report. Raises `HistoryError` if it is not whole."""
    folder, trace = recording.folder, recording.trace
    history = load_history(folder.history)
    judgement = examine(history)
    execution = digest(trace, history) if trace else ""
    if trace:
        folder.write(TRACE, trace)
    folder.write("trace.ndjson", b"".join(msgspec.json.encode(event) + b"\n" for event in history.events))
    folder.write(folder.results.name, json.dumps(results.render(history, judgement, execution), indent=2) + "\n")
    folder.write("junit.xml", junit.render(history, judgement))
    folder.write("summary.md", summary.render(history, judgement))
    folder.write(folder.report.name, text.render(history, judgement))
    folder.write(folder.page.name, pages.of_run(Run(folder.path.name, history, judgement, spans.read(folder.path))))
    return Finished(folder, history, judgement, execution, recording.interrupted)
