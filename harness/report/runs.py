"""Runs as reports read them: history, judgement, figures and spans of a folder; a bench has several runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.checkers import Judgement
from harness.checkers.verdict import examine
from harness.history import History, HistoryError, load, spans
from harness.history.spans import Span
from harness.metrics.measure import Measured, measure
from harness.run import bench_manifest as benches
from harness.run.bench_manifest import BenchFolder, BenchManifest
from harness.run.folder import HISTORY


@dataclass(frozen=True)
class Run:
    """One judged run. `name` is that of its folder; `case` and `round` are those of a bench."""

    name: str
    history: History
    judgement: Judgement
    steps: Sequence[Span] = ()
    case: str = ""
    round: int = 1

    @cached_property
    def measured(self) -> Measured:
        return self.history.derive(measure)

    @property
    def candidate(self) -> str:
        """`saga`, or `saga over streams`."""
        transport = self.history.header.config.get("transport") or "http"
        protocol = self.history.header.protocol
        return protocol if transport == "http" else f"{protocol} over {transport}"

    @property
    def title(self) -> str:
        return f"{self.candidate}, {self.history.header.scenario}"


def read(path: Path, case: str = "", number: int = 1) -> Run:
    """Read the run in a folder. Raises `HistoryError` if its history is not whole."""
    history = load(path / HISTORY)
    return Run(path.name, history, examine(history), spans.read(path), case, number)


@dataclass(frozen=True)
class BenchResults:
    """The runs of a bench with a whole history, by case, and the reasons for the damaged ones."""

    manifest: BenchManifest
    runs: dict[str, list[Run]]
    damaged: list[str]

    def every(self) -> Iterator[Run]:
        """Yield all runs."""
        for runs in self.runs.values():
            yield from runs


def read_bench(path: Path) -> BenchResults:
    """Read and judge the runs of a bench. Raises `ValueError` for an unreadable manifest."""
    manifest = benches.read(path)
    runs: dict[str, list[Run]] = {name: [] for name in manifest.cases}
    damaged = []
    for entry in manifest.runs:
        try:
            runs.setdefault(entry.case, []).append(read(BenchFolder(path).runs / entry.folder, entry.case, entry.round))
        except HistoryError as error:
            damaged.append(f"{entry.case}: {error}")
    return BenchResults(manifest, runs, damaged)


def claims_of(run: Run) -> dict[str, Any]:
    """Return the claims of the protocol as plain values."""
    claims = run.history.header.claims
    return {
        "atomicity": claims.atomicity,
        "isolation": claims.isolation,
        "durability": claims.durability,
        "recovery_s": claims.recovery_s,
        "blocking_s": claims.blocking_s,
        "outage_s": claims.outage_s,
    }
