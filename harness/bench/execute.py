"""Runs a bench: every case in turn, round by round, each as a run that is recorded and judged like any other."""

import os
import platform
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from harness.bench.cases import Bench, BenchCase
from harness.errors import EnvironmentFailure
from harness.report.finish import Finished, finish
from harness.run.bench_manifest import BenchFolder, BenchManifest, BenchRun
from harness.run.folder import RunFolder
from harness.run.record import Listener, record


class Turn(NamedTuple):
    """What is about to be run: the `number`-th of `of` runs."""

    case: BenchCase
    round: int
    number: int
    of: int


Begin = Callable[[Turn], Listener]
"""Hears what is about to be run, and gives who listens to it."""

End = Callable[[Finished], None]


def case_settings(case: BenchCase) -> dict[str, Any]:
    """A case as it is written down."""
    return {
        "protocol": case.candidate.protocol,
        "transport": case.candidate.transport,
        "scenario": case.faults,
        "workers": case.workers,
        "items": case.items,
        "skew": case.skew,
        "pace": {name: getattr(case.pace, name) for name in case.pace.__slots__},
    }


def machine() -> dict[str, Any]:
    """What the figures are of: absolute ones are of this machine, ratios carry over."""
    load = None
    with suppress(OSError, AttributeError):
        load = round(os.getloadavg()[0], 2)
    with suppress(AttributeError, OSError):
        return _machine(len(os.sched_getaffinity(0)), load)
    return _machine(os.cpu_count() or 1, load)


def _machine(cpus: int, load: float | None) -> dict[str, Any]:
    return {
        "cpus": cpus,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "load_before": load,
    }


def execute(
    bench: Bench,
    runs: Path,
    thresholds: tuple[str, ...],
    begin: Begin,
    end: End,
    made: Callable[[BenchFolder], None] = lambda _: None,
) -> tuple[BenchFolder, int]:
    """Run everything, until somebody or the environment stops it. The folder, and how many runs were begun.

    Raises `UsageError` before anything was started, `EnvironmentFailure` if nothing can be written; one of a run ends the bench
    and is noted.
    """
    plans = [(number, case, bench.plan(case, number)) for number, case in bench.turns()]
    for _, _, plan in plans:
        plan.spec()
    folder = BenchFolder.make(runs, f"bench-{bench.seed}")
    made(folder)
    manifest = _manifest(bench, thresholds)
    folder.keep(manifest)
    folder.become_latest()
    for position, (number, case, plan) in enumerate(plans, start=1):
        turn = Turn(case, number, position, len(plans))

        def note(run: RunFolder, turn: Turn = turn) -> None:
            manifest.runs.append(BenchRun(case=turn.case.name, round=turn.round, folder=run.path.name))
            folder.keep(manifest)

        try:
            finished = finish(record(plan, folder.runs, (begin(turn),), note, load=bench.pace(case).make()))
        except EnvironmentFailure as failure:
            manifest.trouble = str(failure)
            break
        end(finished)
        if finished.interrupted:
            manifest.trouble = "interrupted"
            break
    else:
        manifest.complete = True
    folder.keep(manifest)
    return folder, len(manifest.runs)


def _manifest(bench: Bench, thresholds: tuple[str, ...]) -> BenchManifest:
    return BenchManifest(
        wdm=version("wdm"),
        command=bench.command,
        seed=bench.seed,
        rounds=bench.rounds,
        duration_s=bench.duration_s,
        runtime=bench.runtime,
        durability=bench.durability,
        machine=machine(),
        thresholds=list(thresholds),
        cases={case.name: msgspec.to_builtins(case_settings(case)) for case in bench.cases},
    )
