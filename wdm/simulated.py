"""Many seeds in the simulator, as the command line shows them; the first that fails is kept, and made as small as it gets."""

import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.chaos import seeds
from harness.chaos.seeds import Told
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
TOLD = 20
"""Failing seeds that are named; the others are counted."""


@dataclass
class Tally:
    """What a number of seeds came to."""

    plan: Plan
    told: list[Told] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def failing(self) -> list[Told]:
        return [each for each in self.told if each.verdict != Verdict.HOLDS]

    @property
    def digest(self) -> str:
        """Equal for the same seeds that took the same courses."""
        return hashlib.blake2b("".join(each.digest for each in self.told).encode(), digest_size=8).hexdigest()

    @property
    def code(self) -> int:
        if self.interrupted or not self.told:
            return INTERRUPTED
        return max((CODES[Verdict(each.verdict)] for each in self.told), key=WORST.index)

    def lines(self) -> Iterator[str]:
        counts = Counter(each.verdict for each in self.told)
        yield f"{len(self.told)} seeds: {', '.join(f'{count} {verdict}' for verdict, count in sorted(counts.items()))}"
        checkouts, faults = (sum(getattr(each, name) for each in self.told) for name in ("checkouts", "faults"))
        simulated_s = sum(each.simulated_s for each in self.told)
        least = [min((getattr(each, name) for each in self.told), default=0) for name in ("checkouts", "faults")]
        yield f"{checkouts} checkouts (at least {least[0]} a seed), {faults} faults (at least {least[1]})"
        ratio = simulated_s / self.seconds if self.seconds else 0
        yield f"{simulated_s / HOUR_S:.1f} h simulated in {self.seconds:.1f} s: {ratio:.0f} to 1"
        yield f"trace {self.digest}"

    def document(self) -> dict[str, Any]:
        return {
            "protocol": self.plan.protocol,
            "scenario": self.plan.scenario.name,
            "seeds": len(self.told),
            "verdicts": dict(Counter(each.verdict for each in self.told)),
            "checkouts": sum(each.checkouts for each in self.told),
            "faults": sum(each.faults for each in self.told),
            "simulated_s": round(sum(each.simulated_s for each in self.told), 3),
            "seconds": round(self.seconds, 3),
            "trace": self.digest,
            "digests": {str(each.seed): each.digest for each in self.told},
            "failing": [
                {
                    "seed": each.seed,
                    "verdict": each.verdict,
                    "headline": each.headline,
                    "command": _again(self.plan, each),
                }
                for each in self.failing
            ],
            "exit": self.code,
        }


def seeds_in_the_simulator(plan: Plan, count: int, runs: Path, as_json: bool) -> int:
    """Run them all, tell of the first that fails at once, and return the exit code of the worst."""
    ui.say(f"seeds {plan.seed} to {plan.seed + count - 1}: {plan.scenario.name} on {plan.protocol}, in the simulator")
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
            click.echo(f"\nthe first that failed, with as little as still fails, kept in {small.folder.path}:\n")
            click.echo(text.render(small.history, small.judgement), nl=False)
    if small is not None:
        ui.next_step(
            f"`wdm replay {small.folder.path}` runs that again, `wdm report {small.folder.path.name}` shows it"
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
            for told in seeds.each(plan, count):
                tally.told.append(told)
                bar.advance(task)
                if told.verdict != Verdict.HOLDS and not as_json and len(tally.failing) <= TOLD:
                    bar.console.print(end="")
                    click.echo(f"seed {told.seed}: {told.headline}; `{_again(plan, told)}`")
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
    seen = sys.stderr.isatty() and not ui.Voice.quiet
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not seen)


def _smallest(plan: Plan, runs: Path) -> Finished:
    """Shrink what failed, then run it once more into a folder."""
    ui.say(f"seed {plan.seed}: looking for the fewest faults and the least load that still fail")
    shrinker = Shrinker(plan, in_memory.run(plan))
    small = shrinker.run()
    ui.say(f"tried {shrinker.tried} smaller runs; {len(small.schedule or ())} faults are left")
    return finish(record(small, runs))


def _again(plan: Plan, told: Told) -> str:
    return replace(plan, seed=told.seed).command()
