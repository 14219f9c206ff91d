"""The runs on the shelf: looked up by name, followed while they go on."""

import time
from pathlib import Path
from typing import Any

from harness.report import bench as benches
from harness.report import pages, run_folders, runs
from harness.report.html.page import current
from harness.report.live_stats import HistoryFollower
from harness.report.run_folders import FolderKind
from harness.run.bench_manifest import BenchFolder
from harness.run.folder import RunFolder

STALE_S = 30.0
"""A history that nobody has written to for so long, and that has no end, is of a run that was killed."""

SHOWN: dict[str, str] = {
    "results.json": "application/json",
    "results.csv": "text/csv",
    "summary.md": "text/plain",
    "report.txt": "text/plain",
    "junit.xml": "text/xml",
    "run.toml": "text/plain",
    "scenario.toml": "text/plain",
    "history.ndjson": "text/plain",
    "spans.ndjson": "text/plain",
    "steps.ndjson": "text/plain",
    "bench.json": "application/json",
    "counterexample.txt": "text/plain",
}
"""The files of a run that may be asked for, and what they are."""


class RunCatalog:
    """`folder` is where the runs are. Names are looked up among what is there; nothing else can be reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._followers: dict[Path, HistoryFollower] = {}
        self._lines: dict[Path, tuple[float, dict[str, Any]]] = {}

    def find(self, name: str, part: str = "") -> Path | None:
        """The folder of a run, or of one run of a bench."""
        path = next((each for each in run_folders.list_folders(self.folder) if each.name == name), None)
        if path is None or not part:
            return path
        return next((each for each in run_folders.list_folders(BenchFolder(path).runs) if each.name == part), None)

    def file(self, path: Path, name: str) -> Path | None:
        """One of the files of a run that may be asked for."""
        found = path / name
        return found if name in SHOWN and found.is_file() and not found.is_symlink() else None

    def list(self) -> list[dict[str, Any]]:
        """A line each, the youngest first; one that goes on has `live`."""
        return [self._line(path) for path in reversed(run_folders.list_folders(self.folder))]

    def live(self, path: Path) -> dict[str, Any] | None:
        """How a run that goes on stands; None if it does not."""
        target = self._going_on(path)
        if target is None:
            return None
        follower = self._followers.setdefault(target, HistoryFollower(target))
        follower.follow()
        if follower.over:
            self._followers.pop(target).close()
            return None
        header = follower.header
        what = f"{header.protocol}, {header.scenario}" if header else ""
        who = {"protocol": header.protocol, "scenario": header.scenario, "seed": header.seed} if header else {}
        return {"what": what, "who": who, **follower.stats.document()}

    def page(self, path: Path) -> Path | None:
        """The page of a run, made where it is missing or another version's; None while the run goes on.

        Raises `HistoryError`, `ValueError`, `Unwalkable`.
        """
        page = RunFolder(path).page
        if self._going_on(path) is not None:
            return None
        if page.is_file() and current(page.read_text("utf-8", errors="replace")) and _believed(path):
            return page
        match run_folders.folder_kind(path):
            case FolderKind.BENCH:
                benches.finish(BenchFolder(path))
            case FolderKind.CHECK:
                RunFolder(path).write(page.name, pages.of_check(path))
            case _:
                RunFolder(path).write(page.name, pages.of_run(runs.read(path)))
        return page

    def compared(self, first: str, second: str) -> str | None:
        """The page of two runs; None if there are no such runs. Raises `HistoryError` if one is not whole."""
        paths = [self.find(name) for name in (first, second)]
        found = [path for path in paths if path is not None and run_folders.folder_kind(path) is FolderKind.RUN]
        if len(found) < 2:
            return None
        return pages.of_two(runs.read(found[0]), runs.read(found[1]))

    # ------------------------------------------------------------ inside

    def _line(self, path: Path) -> dict[str, Any]:
        """Read again only when something in the folder has changed."""
        live = self.live(path)
        changed = path.stat().st_mtime
        known = self._lines.get(path)
        if known is None or known[0] != changed or live:
            known = changed, {key: value for key, value in run_folders.describe(path).items() if key != "folder"}
            self._lines[path] = known
        line = known[1]
        if not live:
            return line
        who = live["who"] if line["kind"] == "run" else {}
        return {**line, **who, "verdict": "running", "live": live}

    def _going_on(self, path: Path) -> Path | None:
        """The history that is being written: the run's own, or that of the last run of a bench."""
        if run_folders.folder_kind(path) is FolderKind.BENCH:
            if RunFolder(path).results.is_file():
                return None
            parts = run_folders.list_folders(BenchFolder(path).runs)
            history = RunFolder(parts[-1]).history if parts else None
        else:
            history = None if RunFolder(path).results.is_file() else RunFolder(path).history
        if history is None or not history.is_file():
            return None
        return history if time.time() - history.stat().st_mtime < STALE_S else None


def _believed(path: Path) -> bool:
    """Whether what lies beside a page can be read by this version: else the page is not shown either, but made anew."""
    return not str(run_folders.describe(path)["verdict"]).startswith("unreadable")
