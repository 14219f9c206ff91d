"""A run as Markdown, for the summary page of a pipeline."""

from collections.abc import Iterator

from harness.checkers import Judgement
from harness.history import History
from harness.metrics.measure import measure
from harness.report.text import STANDING, headline, not_judged
from harness.report.text_table import markdown_line


def render(history: History, judgement: Judgement) -> str:
    """Return the verdict with its evidence, a line a checker, and the command that repeats the run."""
    return "\n".join(_lines(history, judgement)) + "\n"


def _lines(history: History, judgement: Judgement) -> Iterator[str]:
    header, measured = history.header, history.derive(measure)
    yield f"## {header.protocol} under {header.scenario}: {judgement.verdict}{not_judged(judgement)}"
    yield ""
    yield headline(history, judgement)
    if measured.latency["p99_ms"] is not None:
        p50, p99 = measured.latency["p50_ms"], measured.latency["p99_ms"]
        yield f"{measured.rate_per_s:.0f} a second succeeded; median {p50:.1f} ms, 99th percentile {p99:.0f} ms"
    words = next(
        (result.finding.figures.get("words") for result in judgement.results if result.checker == "availability"), ""
    )
    if words:
        yield words
    yield ""
    yield "| checker | standing | claimed | seen |"
    yield "| --- | --- | --- | --- |"
    for result in judgement.results:
        seen = ", ".join(f"{count} {name}" for name, count in (result.finding.figures.get("violations") or {}).items())
        cells = (result.checker, STANDING[result.standing], "; ".join(result.claims) or "-", seen or "-")
        yield markdown_line(cells)
    if header.config.get("command"):
        yield ""
        yield f"`{header.config['command']}`"
