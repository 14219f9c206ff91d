"""The folders in `wdm-runs/`: their kinds, the search for one by its name, and a summary of each."""

from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from harness.formats import Unreadable
from harness.metrics.thresholds import metric
from harness.report import results
from harness.report.runs import Run
from harness.run import bench_manifest as benches
from harness.run import counterexample as counterexamples
from harness.run.bench_manifest import BenchFolder
from harness.run.counterexample import COUNTEREXAMPLE
from harness.run.folder import HISTORY, RunFolder
from protocols.errors import UsageError

COMPARED = (
    "rate_per_s",
    "p50_ms",
    "p99_ms",
    "max_ms",
    "availability",
    "blocked_s",
    "messages",
    "forced_writes",
    "cpu_ms",
)


class FolderKind(Enum):
    """The kinds of folders."""

    RUN = "run"
    BENCH = "bench"
    CHECK = "counterexample of wdm check"
    JUDGE = "grade sheet of wdm judge"
    JUDGE_BATCH = "batch of wdm judge"


def folder_kind(path: Path) -> FolderKind | None:
    """Return the kind of a folder; None for a foreign one."""
    if benches.is_bench(path):
        return FolderKind.BENCH
    if (path / COUNTEREXAMPLE).is_file():
        return FolderKind.CHECK
    return FolderKind.RUN if (path / HISTORY).is_file() else _JUDGED.get(_kind_of_results(path))


_JUDGED = {"judge": FolderKind.JUDGE, "judge-batch": FolderKind.JUDGE_BATCH}


class _KindOfResults(msgspec.Struct):
    """The key of a `results.json` by which an examination is known: it has the histories of its rounds under other names."""

    kind: str = ""


def _kind_of_results(path: Path) -> str:
    try:
        return msgspec.json.decode(RunFolder(path).results.read_bytes(), type=_KindOfResults).kind
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def list_folders(runs: Path) -> list[Path]:
    """Return the folders of every kind, the oldest first."""
    if not runs.is_dir():
        return []
    return sorted(path for path in runs.iterdir() if path.is_dir() and not path.is_symlink() and folder_kind(path))


def find(runs: Path, name: str, fits: Callable[[Path], object] = folder_kind, noun: str = "run") -> Path:
    """Find a folder by its path, its name in `runs`, or a part of its name that only one has.

    `fits` is the condition of a folder, and `noun` the word for such a folder in errors. Raises `UsageError`.
    """
    for path in (Path(name), runs / name):
        if path.is_dir() and fits(path):
            return path.resolve() if path.is_symlink() else path
    matches = [path for path in list_folders(runs) if name in path.name and fits(path)]
    if len(matches) == 1:
        return matches[0]
    count = f"several {noun.replace('run', 'runs', 1)} are" if matches else f"no {noun} is"
    raise UsageError(f"{count} called {name!r} in {runs}; `wdm runs` lists them")


def describe(path: Path) -> dict[str, Any]:
    """Return `{"run", "kind", "verdict", "scenario", "protocol", "seed", "folder"}`; an unreadable one has that verdict."""
    kind = folder_kind(path)
    line: dict[str, Any] = {"run": path.name, "kind": kind.name.lower() if kind else "", "folder": str(path)}
    if kind is FolderKind.CHECK:
        return {**line, **_counterexample(path)}
    document = _results(RunFolder(path))
    if kind is FolderKind.BENCH:
        return {**line, **_bench(path, document)}
    values = {key: document.get(key) for key in ("verdict", "scenario", "protocol", "seed")}
    if kind in (FolderKind.JUDGE, FolderKind.JUDGE_BATCH):
        values |= {"scenario": "judge", "protocol": document.get("name")}
    if not document:
        values["verdict"] = "none"
    return {**line, **values}


def _bench(path: Path, document: dict[str, Any]) -> dict[str, Any]:
    try:
        manifest = BenchFolder(path).manifest()
    except Unreadable as error:
        return _unreadable(path, error)
    protocols = dict.fromkeys(str(case["protocol"]) for case in manifest.cases.values())
    scenarios = dict.fromkeys(str(case["scenario"]) for case in manifest.cases.values())
    verdict = document.get("verdict", "none")
    return {
        "verdict": verdict,
        "scenario": ", ".join(scenarios),
        "protocol": ", ".join(protocols),
        "seed": manifest.seed,
    }


def _counterexample(path: Path) -> dict[str, Any]:
    try:
        counterexample = counterexamples.load(path / COUNTEREXAMPLE)
    except Unreadable as error:
        return _unreadable(path, error)
    return {"verdict": "violated", "scenario": counterexample.case, "protocol": counterexample.protocol, "seed": None}


def _unreadable(path: Path, error: Unreadable) -> dict[str, Any]:
    verdict = f"unreadable: {str(error).removeprefix(f'{path}/')}"
    return {"verdict": verdict, "scenario": None, "protocol": None, "seed": None}


def _results(folder: RunFolder) -> dict[str, Any]:
    """Read `results.json`; empty without one: the run is under way or was killed, or its disk was full."""
    if not folder.results.is_file():
        return {}
    try:
        return results.read(folder.results)
    except Unreadable as error:
        return {"verdict": f"unreadable: {str(error).removeprefix(f'{folder.path}/')}"}


def compare_runs(first: Run, second: Run) -> Iterator[tuple[str, str, str, str]]:
    """Yield (figure, value of the first, value of the second, ratio)."""
    rows = [{"measured": msgspec.to_builtins(run.measured)} for run in (first, second)]
    yield "protocol", first.candidate, second.candidate, ""
    yield "scenario", first.history.header.scenario, second.history.header.scenario, ""
    yield "verdict", str(first.judgement.verdict), str(second.judgement.verdict), ""
    for name in COMPARED:
        a, b = (metric(row, name) for row in rows)
        if a is not None or b is not None:
            ratio = f"{b / a:.2f}" if a and b is not None else "-"
            yield name, _rounded(a), _rounded(b), ratio


def _rounded(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
