"""The pages for readers: the content of `report.html`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.report import results
from harness.report.html import views
from harness.report.html.page import environment, render
from harness.report.runs import BenchResults, Run
from harness.run.counterexample import COUNTEREXAMPLE, describe_kept, load


def of_run(run: Run) -> str:
    """Return the page of a run."""
    return render(views.of_run(run, results.render(run.history, run.judgement)))


def of_two(first: Run, second: Run) -> str:
    """Return the page that compares two runs."""
    return render(views.of_two(first, second, {}))


def of_bench(results: BenchResults, document: Mapping[str, Any]) -> str:
    """Return the page of a bench; `document` is that of `comparison.render`."""
    return render(views.of_bench(results, document))


def of_check(folder: Path) -> str:
    """Return the page of a counterexample, with the path to its violation. Raises `Unreadable`, `NotReproducible`."""
    counterexample = load(folder / COUNTEREXAMPLE)
    path = describe_kept(counterexample)
    return (
        environment().get_template("check.html.j2").render(name=folder.name, counterexample=counterexample, path=path)
    )
