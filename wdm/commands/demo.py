"""`wdm demo`: a shop that survives the crash of each of its nodes."""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.report.text import READERS
from wdm import ui
from wdm.exits import CODES, INTERRUPTED, WORST
from wdm.options import common, option, runs_folder
from wdm.parameters import Whole

if TYPE_CHECKING:
    from harness.report.finish import Finished
    from harness.run.plan import Plan

LARGEST_SEED = 2**31
SALE, KILLS = "flash-sale", "kill-one-at-a-time"
PERIOD_S = 2.45
"""The mean time between the kills of that scenario, in seconds."""


@click.command()
@common
@option("--protocol", default="2pc", show_default=True, help="Protocol to run; `wdm protocols` lists them.")
@click.option("--rounds", type=Whole(1, 100), default=1, show_default=True, help="Number of kills of each node.")
@runs_folder("Folder for the run folders.")
def demo(protocol: str, rounds: int, runs_dir: Path) -> int:
    """Kill every node of a shop under load and judge the run.

    Before that, a thousand clients check out one item at once: the scenarios flash-sale and kill-one-at-a-time, on real
    processes. Exit code 0: all claims held; 1: a claim was violated; 3: inconclusive; 4: the environment failed.
    """
    ui.name_leftovers()
    finished: list[Finished] = []
    for plan in _plans(protocol, rounds):
        finished.append(_run(plan, runs_dir))
        if finished[-1].interrupted:
            return INTERRUPTED
    columns = ("", "1,000 at once", "every node killed")
    ui.table(columns, _rows(finished))
    verdict = max((run.judgement.verdict for run in finished), key=lambda verdict: WORST.index(CODES[verdict]))
    click.echo(f"\nverdict: {verdict}")
    for run in finished:
        click.echo(f"report: {run.folder.page}")
    ui.next_step(
        "open the report in a browser; `wdm up` starts a shop of your own, `make test` shows why to believe it"
    )
    return CODES[verdict]


def _plans(protocol: str, rounds: int) -> "list[Plan]":
    from harness.run import scenarios  # noqa: PLC0415 - a deployment and its clients
    from harness.run.plan import Plan  # noqa: PLC0415

    sale, kills = scenarios.load(SALE), scenarios.load(KILLS)
    # A round is six kills, of three services and three stores; the last one has some seconds to recover.
    kills = replace(kills, duration_s=kills.duration_s + 6 * PERIOD_S * (rounds - 1))
    plans = [
        Plan(scenario, protocol, secrets.randbelow(LARGEST_SEED), named=scenario.name, extra=extra)
        for scenario, extra in ((sale, ()), (kills, ("--duration-s", f"{kills.duration_s:g}")))
    ]
    for plan in plans:
        plan.spec()
    return plans


def _run(plan: "Plan", runs: Path) -> "Finished":
    from harness.errors import EnvironmentFailure  # noqa: PLC0415
    from harness.history import HistoryError  # noqa: PLC0415
    from harness.report.finish import finish  # noqa: PLC0415
    from harness.run.record import record  # noqa: PLC0415
    from wdm.live import Progress  # noqa: PLC0415

    ui.progress(
        f"{plan.scenario.name}: {plan.scenario.summary} ({plan.protocol}, {plan.scenario.duration_s:g} s of load)"
    )
    try:
        with Progress(f"{plan.scenario.name}: {plan.protocol}") as progress:
            return finish(record(plan, runs, (progress,)))
    except HistoryError as error:
        raise EnvironmentFailure(str(error)) from error


def _rows(finished: "Sequence[Finished]") -> list[tuple[str, object, object]]:
    from harness.checkers.recovery import blocked  # noqa: PLC0415
    from harness.metrics.outcomes import outcomes  # noqa: PLC0415

    sale, kills = (outcomes(run.history) for run in finished)
    answers = [
        (words, sale.answers.get(outcome, 0), kills.answers.get(outcome, 0)) for outcome, words in READERS.items()
    ]
    waits: dict[str, float | None] = {}
    for fault in blocked(finished[-1].history):
        wait_s = fault["from_start_s"].get("checkout")
        before_s = waits.get(fault["target"])
        waits[fault["target"]] = wait_s if before_s is None else max(before_s, wait_s or 0.0)
    after = [(f"first success after {name}", None, "never" if s is None else f"{s:.2f} s") for name, s in waits.items()]
    return [
        ("orders paid", sale.paid, kills.paid),
        *answers,
        ("false acknowledgements", sale.false_acknowledgements, kills.false_acknowledgements),
        ("unfinished", sale.unfinished, kills.unfinished),
        *after,
    ]
