"""The catalog of the runs: found by name, and followed while they go on."""

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
"""The age of the last line from which a history without an end counts as that of a killed run."""

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
"""The files of a run that the server shows, and their types."""


class RunCatalog:
    """The runs in `folder`. A name is looked up among the existing folders; no other path can be reached."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._followers: dict[Path, HistoryFollower] = {}
        self._lines: dict[Path, tuple[float, dict[str, Any]]] = {}

    def find(self, name: str, part: str = "") -> Path | None:
        """Return the folder of a run, of one run of a bench, or of one shop of a batch."""
        path = next((folder for folder in run_folders.list_folders(self.folder) if folder.name == name), None)
        if path is None or not part:
            return path
        parts = path if self.is_batch(path) else BenchFolder(path).runs
        return next((folder for folder in run_folders.list_folders(parts) if folder.name == part), None)

    def is_batch(self, path: Path) -> bool:
        """Return whether a folder is that of a batch, whose page has links to the pages of its shops."""
        return run_folders.folder_kind(path) is FolderKind.JUDGE_BATCH

    def file(self, path: Path, name: str) -> Path | None:
        """Return one of the shown files of a run; None for any other name."""
        file = path / name
        return file if name in SHOWN and file.is_file() and not file.is_symlink() else None

    def list(self) -> list[dict[str, Any]]:
        """Return a line for each run, the latest first; a run under way has `live`."""
        return [self._line(path) for path in reversed(run_folders.list_folders(self.folder))]

    def live(self, path: Path) -> dict[str, Any] | None:
        """Return the present state of a run under way; None for another run."""
        target = self._under_way(path)
        if target is None:
            return None
        follower = self._followers.setdefault(target, HistoryFollower(target))
        follower.follow()
        if follower.over:
            self._followers.pop(target).close()
            return None
        header = follower.header
        title = f"{header.protocol}, {header.scenario}" if header else ""
        cells = {"protocol": header.protocol, "scenario": header.scenario, "seed": header.seed} if header else {}
        return {"what": title, "who": cells, **follower.stats.document()}

    def page(self, path: Path) -> Path | None:
        """Return the page of a run, and make it if it is missing or of another version; None for a run under way.

        Raises `HistoryError`, `ValueError`, `NotReproducible`.
        """
        page = RunFolder(path).page
        if self._under_way(path) is not None:
            return None
        if page.is_file() and current(page.read_text("utf-8", errors="replace")) and _readable(path):
            return page
        match run_folders.folder_kind(path):
            case FolderKind.JUDGE | FolderKind.JUDGE_BATCH:
                raise ValueError("another version of wdm has written its page; `wdm report` shows its text")
            case FolderKind.BENCH:
                benches.finish(BenchFolder(path))
            case FolderKind.CHECK:
                RunFolder(path).write(page.name, pages.of_check(path))
            case _:
                RunFolder(path).write(page.name, pages.of_run(runs.read(path)))
        return page

    def compared(self, first: str, second: str) -> str | None:
        """Return the page that compares two runs; None without two such runs. Raises `HistoryError` if one is not whole."""
        paths = [self.find(name) for name in (first, second)]
        folders = [path for path in paths if path is not None and run_folders.folder_kind(path) is FolderKind.RUN]
        if len(folders) < 2:
            return None
        return pages.of_two(runs.read(folders[0]), runs.read(folders[1]))

    # ------------------------------------------------------------ inside

    def _line(self, path: Path) -> dict[str, Any]:
        """Return the line of a run, and read its files only after a change in the folder."""
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

    def _under_way(self, path: Path) -> Path | None:
        """Return the history of a run under way, its own or that of the last run of a bench; None for another run."""
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


def _readable(path: Path) -> bool:
    """Return whether this version can read the results beside a page; else the page is made anew."""
    return not str(run_folders.describe(path)["verdict"]).startswith("unreadable")
