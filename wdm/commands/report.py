"""`wdm report`: the report of one run, or the differences of two."""

import webbrowser
from contextlib import suppress
from pathlib import Path

import click

from harness.errors import EnvironmentFailure
from harness.history import HistoryError
from harness.report import bench, pages, run_folders, runs, text
from harness.report.run_folders import FolderKind
from harness.run import counterexample as counterexamples
from harness.run.bench_manifest import BenchFolder
from harness.run.counterexample import NotReproducible
from harness.run.folder import LATEST, RunFolder
from protocols.errors import UsageError
from wdm import ui
from wdm.comparison import show
from wdm.exits import OK, UNKNOWN
from wdm.options import common, runs_folder
from wdm.parameters import Location, Text


@click.command()
@common
@click.argument("run", type=Text(), nargs=-1)
@runs_folder("Folder of the run folders.")
@click.option("--open", "in_browser", is_flag=True, help="Open the page in a browser.")
@click.option("--html", "where", type=Location(), help="File for a copy of the page.")
def report(run: tuple[str, ...], runs_dir: Path, in_browser: bool, where: Path | None) -> int:
    """Show the report of a run, or compare two runs.

    RUN is a run folder, its name or a part of the name; by default the last run. The page `report.html` in the run folder has
    the same content for a browser: one file that needs no network.
    """
    if len(run) > 2:
        raise UsageError(f"one run is shown and two are compared, not {len(run)}")
    paths = [run_folders.find(runs_dir, name) for name in run or (LATEST,)]
    try:
        page, code = _two(paths[0], paths[1], runs_dir) if len(paths) == 2 else _one(paths[0])
    except (
        HistoryError,
        ValueError,
        NotReproducible,
    ) as error:  # it was killed, the disk was full, or it is of another version
        ui.error(str(error))
        ui.next_step("`wdm runs` lists the runs that can be shown")
        return UNKNOWN
    if where is not None:
        _write(where, page.read_text("utf-8"))
    if in_browser:
        _open(page)
    else:
        ui.next_step(
            f"`wdm report {page.parent.name} --open` shows it in a browser" if len(paths) == 1 else f"open {page}"
        )
    return code


def _one(path: Path) -> tuple[Path, int]:
    """Print the text of a run, and return its page and the exit code. Both come from the history; a grade sheet is kept."""
    folder = RunFolder(path)
    match run_folders.folder_kind(path):
        case FolderKind.BENCH:
            document = bench.finish(BenchFolder(path))
            show(document)
        case FolderKind.CHECK:
            counterexample = counterexamples.load(path / counterexamples.COUNTEREXAMPLE)
            click.echo(counterexamples.describe_kept(counterexample), nl=False)
            _write(folder.page, pages.of_check(path))
        case FolderKind.JUDGE | FolderKind.JUDGE_BATCH:
            click.echo(folder.report.read_text("utf-8"), nl=False)
        case _:
            run = runs.read(path)
            click.echo(text.render(run.history, run.judgement), nl=False)
            _write(folder.page, pages.of_run(run))
    return folder.page, OK


def _two(first: Path, second: Path, runs_dir: Path) -> tuple[Path, int]:
    """Print the figures of two runs, and return the page that compares them, in the folder of the runs."""
    for path in (first, second):
        kind = run_folders.folder_kind(path)
        if kind is not None and kind is not FolderKind.RUN:
            raise UsageError(f"{path.name} is a {kind.value}, not one run: only single runs are compared")
    one, other = runs.read(first), runs.read(second)
    page = runs_dir / f"compare-{first.name}-{second.name}.html"
    _write(page, pages.of_two(one, other))
    ui.table(("", "A", "B", "B / A"), list(run_folders.compare_runs(one, other)))
    return page, OK


def _write(path: Path, page: str) -> None:
    """Write the page, unless the file has that content already: a read-only folder is then no error."""
    with suppress(OSError, ValueError):
        if path.read_text("utf-8") == page:
            return
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        raise EnvironmentFailure(f"{path}: cannot write the page: {error.strerror or error}") from error


def _open(page: Path) -> None:
    if not webbrowser.open(page.absolute().as_uri()):
        raise EnvironmentFailure(f"no browser could be started; open {page} in one")
