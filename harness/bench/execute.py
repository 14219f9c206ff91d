"""The execution of a bench: every case in turn, round by round, each a recorded and judged run."""

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
    """The next run: the `number`-th of `of` runs."""

    case: BenchCase
    round: int
    number: int
    of: int


Begin = Callable[[Turn], Listener]
"""A callback that receives the next run, and returns the listener for its history."""

End = Callable[[Finished], None]


def case_settings(case: BenchCase) -> dict[str, Any]:
    """Return a case as plain values for the manifest."""
    return {
        "protocol": case.candidate.protocol,
        "transport": case.candidate.transport,
        "scenario": case.faults,
        "workers": case.workers,
        "copies": case.copies,
        "items": case.items,
        "skew": case.skew,
        "pace": {name: getattr(case.pace, name) for name in case.pace.__slots__},
    }


def machine() -> dict[str, Any]:
    """Describe this machine: absolute figures hold for this machine only, ratios for others as well."""
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
    """Run all cases, until an interrupt or a failure of the environment. Return the folder and the number of begun runs.

    `made` receives the folder as soon as it exists. Raises `UsageError` before the first run, and `EnvironmentFailure` if the
    folder cannot be written. A failure of the environment in one run ends the bench, and the manifest has its message.
    """
    plans = [(number, case, bench.plan(case, number)) for number, case in bench.turns()]
    for _, _, plan in plans:
        plan.spec()
    folder = BenchFolder.make(runs, f"bench-{bench.seed}")
    made(folder)
    manifest = _manifest(bench, thresholds)
    folder.save(manifest)
    folder.become_latest()
    for position, (number, case, plan) in enumerate(plans, start=1):
        turn = Turn(case, number, position, len(plans))

        def enter(run: RunFolder, turn: Turn = turn) -> None:
            manifest.runs.append(BenchRun(case=turn.case.name, round=turn.round, folder=run.path.name))
            folder.save(manifest)

        try:
            finished = finish(record(plan, folder.runs, (begin(turn),), enter, load=bench.pace(case).make()))
        except EnvironmentFailure as failure:
            manifest.trouble = str(failure)
            break
        end(finished)
        if finished.interrupted:
            manifest.trouble = "interrupted"
            break
    else:
        manifest.complete = True
    folder.save(manifest)
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
