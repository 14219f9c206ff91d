"""`wdm check`: every reachable state of small cases, or the shortest path to a violated invariant."""

import time
from pathlib import Path
from typing import Any

import click
import msgspec

from harness.checkers import Verdict
from harness.explore.breadth import Bounds
from harness.explore.case import MOST, SearchCase
from harness.explore.search import SearchResult
from harness.explore.suite import ModelCheck, on_real_processes, verdict, worst
from harness.run.counterexample import describe, save
from wdm import ui
from wdm.exits import CODES
from wdm.options import as_json, chosen, common, of_the_protocols, option, runs_folder
from wdm.parameters import Number, Whole

SAY_EVERY_S = 1.0
MOST_DEPTH, MOST_STATES, MOST_SECONDS = 1_000_000, 1_000_000_000, 604_800.0
_UNITS = {"states": "states", "seconds": "seconds", "depth": "steps deep"}
COLUMNS = ("case", "verdict", "states", "depth", "seconds")


@click.command()
@common
@option("--protocol", default="2pc", show_default=True, help="Protocol to run; `wdm protocols` lists them.")
@option("--participants", type=Whole(1, MOST), help="Number of participants.  [default: all of the protocol]")
@option("--transactions", type=Whole(1, MOST), help="Number of concurrent checkouts.  [default: one, then two]")
@option(
    "--crashes", type=Whole(0, MOST), default=1, show_default=True, help="Highest number of crashes in one execution."
)
@option("--depth", type=Whole(1, MOST_DEPTH), help="Limit of the search: steps that change a node.  [default: none]")
@option(
    "--states", type=Whole(1, MOST_STATES), default=2_000_000, show_default=True, help="Limit of the search: states."
)
@option(
    "--seconds",
    type=Number(0.1, MOST_SECONDS),
    default=300.0,
    show_default=True,
    help="Limit of the search: time in seconds.",
)
@of_the_protocols
@option(
    "--ablate", multiple=True, metavar="NAME", help="Safeguard to switch off, see `wdm protocols`; may be repeated."
)
@runs_folder("Folder for the run folders.")
@as_json
def check(participants: int | None, transactions: int | None, runs_dir: Path, as_json: bool, **given: Any) -> int:
    """Search every reachable state of small cases.

    Each state is checked against the invariants of the protocol. Messages are lost, doubled, delayed and reordered, time-outs
    fire at any moment, and crashes happen between any two effects. Exit code 0: every state was visited and all invariants
    hold; 1: an invariant is violated, and the shortest path to the violation is shown and kept; 3: the search reached a limit.
    """
    ui.name_leftovers()
    bounds = Bounds(given["crashes"], given["depth"] or 0, given["states"], given["seconds"])
    options = chosen(given)
    model_check = ModelCheck(given["protocol"], options, tuple(given["ablate"]), participants, transactions, bounds)
    model_check.configured()
    cases = model_check.cases()
    ui.progress(
        f"{model_check.protocol}: {len(cases)} cases, {len(cases[0].services)} participants, crashes: {bounds.crashes}"
    )
    results = list(model_check.results(_Progress()))
    broken = worst(results)
    folder = save(runs_dir, model_check, broken) if broken else None
    if as_json:
        ui.document(_document(model_check, results, folder))
    else:
        ui.table(COLUMNS, [_row(result) for result in results])
        click.echo(f"\n{describe(model_check, broken)}" if broken else "")
        click.echo(f"verdict: {_verdict(model_check, results)}")
    _what_next(model_check, folder)
    return CODES[verdict(results)]


class _Progress:
    """A reader of the search that prints a line once a second."""

    def __init__(self) -> None:
        self._began = self._reported = time.monotonic()

    def __call__(self, case: SearchCase, states: int, depth: int) -> None:
        now = time.monotonic()
        if now - self._reported >= SAY_EVERY_S:
            self._reported = now
            ui.progress(f"{now - self._began:6.1f} s  {case.name}: {states} states, depth {depth}")


def _row(result: SearchResult) -> tuple[object, ...]:
    return result.case.name, verdict([result]), result.states, result.depth, f"{result.seconds:.1f}"


def _verdict(model_check: ModelCheck, results: list[SearchResult]) -> str:
    worst_verdict = verdict(results)
    if worst_verdict == Verdict.VIOLATED:
        return (
            f"{worst_verdict}: {', '.join(dict.fromkeys(result.invariant for result in results if result.violation))}"
        )
    limits = sorted({result.limit for result in results if result.limit})
    if limits:
        bounds = " and at ".join(f"{getattr(model_check.bounds, limit):g} {_UNITS[limit]}" for limit in limits)
        return f"{worst_verdict}: the search gave up at {bounds}; until there nothing was violated"
    return f"{worst_verdict}: every reachable state was seen"


def _document(model_check: ModelCheck, results: list[SearchResult], folder: Path | None) -> dict[str, Any]:
    broken = worst(results)
    violation = None
    if broken is not None:
        violation = {
            "case": broken.case.name,
            "what": broken.violation,
            "shortest": broken.shortest,
            "steps": msgspec.to_builtins(broken.path),
            "on_real_processes": on_real_processes(model_check, broken) or None,
            "folder": str(folder),
        }
    worst_verdict = verdict(results)
    return {
        "verdict": worst_verdict,
        "reason": _verdict(model_check, results),
        "command": model_check.command(),
        "protocol": model_check.protocol,
        "options": dict(model_check.options),
        "ablate": list(model_check.ablate),
        "participants": len(results[0].case.services),
        "bounds": msgspec.to_builtins(model_check.bounds),
        "cases": [
            {
                **dict(zip(COLUMNS, _row(result), strict=True)),
                "seconds": round(result.seconds, 3),
                "limit": result.limit or None,
            }
            for result in results
        ],
        "violation": violation,
        "exit": CODES[worst_verdict],
    }


def _what_next(model_check: ModelCheck, folder: Path | None) -> None:
    if folder is not None:
        ui.progress(f"kept in {folder}")
        ui.next_step(f"`wdm replay {folder}` repeats it")
    elif not model_check.ablate:
        ui.next_step(f"`wdm protocols` lists the safeguards; `{model_check.command()} --ablate NAME` switches one off")
    else:
        ui.next_step(
            f"`wdm chaos --protocol {model_check.protocol} --runtime local` injects faults into real processes"
        )
