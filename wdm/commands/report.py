"""``wdm report``: what a run came to, and how two differ."""

import webbrowser
from contextlib import suppress
from pathlib import Path

import click

from harness.errors import EnvironmentFailure
from harness.history import HistoryError
from harness.report import bench, kinds, pages, runs, text
from harness.report.kinds import Kind
from harness.run import counterexample as counterexamples
from harness.run.bench_manifest import BenchFolder
from harness.run.counterexample import Unwalkable
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
@runs_folder("Where the run folders are.")
@click.option("--open", "in_browser", is_flag=True, help="Show the page in a browser.")
@click.option("--html", "where", type=Location(), help="Write the page to this file as well.")
def report(run: tuple[str, ...], runs_dir: Path, in_browser: bool, where: Path | None) -> int:
    """Show the report of RUN: its folder, its name or a part of it; the last run if none is named. Two RUNs are compared.

    `report.html` in the folder is the same for a browser: one file that needs no network.
    """
    if len(run) > 2:
        raise UsageError(f"one run is shown and two are compared, not {len(run)}")
    paths = [kinds.find(runs_dir, name) for name in run or (LATEST,)]
    try:
        page, code = _two(paths[0], paths[1], runs_dir) if len(paths) == 2 else _one(paths[0])
    except (
        HistoryError,
        ValueError,
        Unwalkable,
    ) as error:  # it was killed, the disk was full, or it is of another version
        ui.complain(str(error))
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
    """Its text on stdout; where its page is. Both are made anew from the history: what lies beside it is not believed."""
    folder = RunFolder(path)
    match kinds.kind(path):
        case Kind.BENCH:
            document = bench.finish(BenchFolder(path))
            show(document)
        case Kind.CHECK:
            kept = counterexamples.load(path / counterexamples.COUNTEREXAMPLE)
            click.echo(counterexamples.shown(kept), nl=False)
            _write(folder.page, pages.of_check(path))
        case _:
            run = runs.read(path)
            click.echo(text.render(run.history, run.judgement), nl=False)
            _write(folder.page, pages.of_run(run))
    return folder.page, OK


def _two(first: Path, second: Path, runs_dir: Path) -> tuple[Path, int]:
    """The page that compares them, in the folder of the runs; their figures on stdout."""
    for path in (first, second):
        found = kinds.kind(path)
        if found is not None and found is not Kind.RUN:
            raise UsageError(f"{path.name} is a {found.value}, not one run: only single runs are compared")
    one, other = runs.read(first), runs.read(second)
    page = runs_dir / f"compare-{first.name}-{second.name}.html"
    _write(page, pages.of_two(one, other))
    ui.table(("", "A", "B", "B / A"), list(kinds.differences(one, other)))
    return page, OK


def _write(path: Path, page: str) -> None:
    """Nothing where the page is there already, which a folder that cannot be written to does not mind."""
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
