"""Many seeds in the simulator on the command line; the first failing run is shrunk and kept."""

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.chaos.seeds import SeedResult, run_seeds
from harness.chaos.shrink import Shrinker
from harness.checkers import Verdict
from harness.report import text
from harness.report.finish import Finished, finish
from harness.run import in_memory
from harness.run.plan import Plan
from harness.run.record import record
from wdm import ui
from wdm.exits import CODES, INTERRUPTED, WORST

if TYPE_CHECKING:
    from rich.progress import Progress

HOUR_S = 3_600.0
MOST_LINES = 20
"""The number of failing seeds with a line of their own."""


@dataclass
class Tally:
    """The results of the seeds of one plan."""

    plan: Plan
    results: list[SeedResult] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def failing(self) -> list[SeedResult]:
        return [result for result in self.results if result.verdict != Verdict.HOLDS]

    @property
    def digest(self) -> str:
        """A digest of all executions, equal for the same seeds with the same executions."""
        return hashlib.blake2b("".join(result.digest for result in self.results).encode(), digest_size=8).hexdigest()

    @property
    def code(self) -> int:
        if self.interrupted or not self.results:
            return INTERRUPTED
        return max((CODES[Verdict(result.verdict)] for result in self.results), key=WORST.index)

    def lines(self) -> Iterator[str]:
        counts = Counter(result.verdict for result in self.results)
        yield f"{len(self.results)} seeds: {', '.join(f'{count} {verdict}' for verdict, count in sorted(counts.items()))}"
        checkouts, faults = (sum(getattr(result, name) for result in self.results) for name in ("checkouts", "faults"))
        simulated_s = sum(result.simulated_s for result in self.results)
        least = [min((getattr(result, name) for result in self.results), default=0) for name in ("checkouts", "faults")]
        yield f"{checkouts} checkouts (at least {least[0]} a seed), {faults} faults (at least {least[1]})"
        ratio = simulated_s / self.seconds if self.seconds else 0
        yield f"{simulated_s / HOUR_S:.1f} h simulated in {self.seconds:.1f} s: {ratio:.0f} to 1"
        yield f"trace {self.digest}"

    def document(self) -> dict[str, Any]:
        return {
            "protocol": self.plan.protocol,
            "scenario": self.plan.scenario.name,
            "seeds": len(self.results),
            "verdicts": dict(Counter(result.verdict for result in self.results)),
            "checkouts": sum(result.checkouts for result in self.results),
            "faults": sum(result.faults for result in self.results),
            "simulated_s": round(sum(result.simulated_s for result in self.results), 3),
            "seconds": round(self.seconds, 3),
            "trace": self.digest,
            "digests": {str(result.seed): result.digest for result in self.results},
            "failing": [
                {
                    "seed": result.seed,
                    "verdict": result.verdict,
                    "headline": result.headline,
                    "command": _again(self.plan, result),
                }
                for result in self.failing
            ],
            "exit": self.code,
        }


def seeds_in_the_simulator(plan: Plan, count: int, runs: Path, as_json: bool) -> int:
    """Run `count` seeds, print the failing ones at once, and return the exit code of the worst result."""
    ui.progress(
        f"seeds {plan.seed} to {plan.seed + count - 1}: {plan.scenario.name} on {plan.protocol}, in the simulator"
    )
    tally = _run(plan, count, as_json)
    small = (
        _smallest(replace(plan, seed=tally.failing[0].seed), runs) if tally.failing and not tally.interrupted else None
    )
    if as_json:
        ui.document({**tally.document(), "shrunk": str(small.folder.path) if small else None})
    else:
        for line in tally.lines():
            click.echo(line)
        if small is not None:
            click.echo(f"\nthe first failing run, shrunk and kept in {small.folder.path}:\n")
            click.echo(text.render(small.history, small.judgement), nl=False)
    if small is not None:
        ui.next_step(
            f"`wdm replay {small.folder.path}` repeats the shrunk run, `wdm report {small.folder.path.name}` shows its report"
        )
    else:
        scenario = plan.named or plan.scenario.name
        ui.next_step(
            f"`wdm chaos {scenario} --protocol {plan.protocol} --runtime local` injects faults into real processes"
        )
    return tally.code


def _run(plan: Plan, count: int, as_json: bool) -> Tally:
    tally, started = Tally(plan), time.monotonic()
    with _bar() as bar:
        task = bar.add_task("seeds", total=count)
        try:
            for result in run_seeds(plan, count):
                tally.results.append(result)
                bar.advance(task)
                if result.verdict != Verdict.HOLDS and not as_json and len(tally.failing) <= MOST_LINES:
                    bar.console.print(end="")
                    click.echo(f"seed {result.seed}: {result.headline}; `{_again(plan, result)}`")
        except KeyboardInterrupt:
            tally.interrupted = True
    tally.seconds = time.monotonic() - started
    return tally


def _bar() -> "Progress":
    from rich.console import Console  # noqa: PLC0415 - only where many seeds are run
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    seen = sys.stderr.isatty() and not ui.Output.quiet
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not seen)


def _smallest(plan: Plan, runs: Path) -> Finished:
    """Shrink the failing run, and repeat the smallest run with a run folder."""
    ui.progress(f"seed {plan.seed}: search for the fewest faults and the least load that still fail")
    shrinker = Shrinker(plan, in_memory.run(plan))
    small = shrinker.run()
    ui.progress(f"tried {shrinker.tried} smaller runs; {len(small.schedule or ())} faults are left")
    return finish(record(small, runs))


def _again(plan: Plan, result: SeedResult) -> str:
    return replace(plan, seed=result.seed).command()
