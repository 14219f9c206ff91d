"""``wdm chaos``: break a shop on purpose, and judge what its clients saw."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness import scenarios
from harness.chaos.conduct import Finished, conduct
from harness.chaos.folder import DEFAULT, RunFolder
from harness.chaos.plan import Plan, crashing_at
from harness.checkers import Verdict
from harness.history import HistoryError
from harness.report import results, text
from harness.runtimes.base import EnvironmentFailure
from harness.runtimes.local.spec import MAX_WORKERS
from harness.scenarios import Scenario
from wdm import ui
from wdm.exits import ENVIRONMENT, INTERRUPTED, OK, UNKNOWN, VIOLATED
from wdm.live import Progress
from wdm.options import as_json, common, option, pairs

CODES = {Verdict.HOLDS: OK, Verdict.VIOLATED: VIOLATED, Verdict.UNKNOWN: UNKNOWN}
WORST = (OK, UNKNOWN, ENVIRONMENT, VIOLATED, INTERRUPTED)
LARGEST_SEED = 2**31


@click.command()
@common
@click.argument("scenario", default=scenarios.DEFAULT)
@option("--protocol", default="2pc", show_default=True, help="See `wdm protocols`.")
@option("--runtime", default="local", show_default=True, help="Where the shop runs: local.")
@option("--option", multiple=True, metavar="NAME=VALUE", help="An option of the protocol; may be repeated.")
@option("--seed", type=click.IntRange(0), help="Decides every random choice.  [default: drawn, and printed]")
@option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="So many runs, each with the next seed.")
@option("--crash-at", metavar="POINT", help="Only this fault: a service dies at a point between two effects.")
@option("--ablate", multiple=True, metavar="NAME", help="Switch a safeguard off; may be repeated. See `wdm protocols`.")
@option(
    "--durability",
    type=click.Choice(["everysec", "always"]),
    help="When a store forces its log.  [default: the scenario's]",
)
@option("--workers", type=click.IntRange(1, MAX_WORKERS), help="Processes a service.  [default: the scenario's]")
@option("--duration-s", type=click.FloatRange(0.1, 3_600), help="Of the load.  [default: the scenario's]")
@option("--runs-dir", default=DEFAULT, show_default=True, metavar="DIR", help="Where the run folders go.")
@as_json
def chaos(scenario: str, seed: int | None, seeds: int, runs_dir: str, as_json: bool, **given: Any) -> int:
    """Break a shop while clients use it, and judge what they saw against what the protocol claims.

    SCENARIO is a name from `wdm scenarios` or a file. Exit code 0: everything claimed held; 1: something claimed was
    violated; 3: nothing can be said; 4: the environment failed.
    """
    first = seed if seed is not None else 1 if seeds > 1 else secrets.randbelow(LARGEST_SEED)
    plan = _plan(scenario, first, given)
    if seeds == 1:
        return _once(plan, Path(runs_dir), as_json)
    return _again_and_again(plan, seeds, Path(runs_dir), as_json)


def _plan(named: str, seed: int, given: dict[str, Any]) -> Plan:
    """Every mistake of the caller is found here."""
    scenario, extra = _changed(scenarios.load(named), given)
    plan = Plan(
        scenario=scenario,
        named=named,
        protocol=given["protocol"],
        runtime=given["runtime"],
        seed=seed,
        options=pairs("option", given["option"]),
        ablate=tuple(given["ablate"]),
        extra=extra,
    )
    return crashing_at(plan, given["crash_at"]) if given["crash_at"] else plan


def _changed(scenario: Scenario, given: dict[str, Any]) -> tuple[Scenario, tuple[str, ...]]:
    """The scenario as the flags want it, and the flags that it takes to want it again."""
    extra: list[str] = []
    for name in ("durability", "workers", "duration_s"):
        if given[name] is not None:
            scenario = replace(scenario, **{name: given[name]})
            extra += [f"--{name.replace('_', '-')}", str(given[name])]
    return scenario, tuple(extra)


def _once(plan: Plan, runs: Path, as_json: bool) -> int:
    ui.say(f"seed {plan.seed}: {plan.scenario.name} on {plan.protocol}, {plan.scenario.duration_s:g} s of load")
    finished = _run(plan, runs)
    if as_json:
        ui.document(_document(finished))
    else:
        click.echo(text.render(finished.history, finished.judgement), nl=False)
    ui.say(f"kept in {finished.folder.path}")
    ui.next_step(f"`{plan.command()}` runs it again, `wdm check-history {finished.folder.history}` judges it again")
    return _code(finished)


def _again_and_again(plan: Plan, seeds: int, runs: Path, as_json: bool) -> int:
    """One line a seed. Stops early only if somebody or the environment stops it."""
    documents, codes = [], [OK]
    for seed in range(plan.seed, plan.seed + seeds):
        one = replace(plan, seed=seed)
        try:
            finished = _run(one, runs, quiet=True)
        except EnvironmentFailure as failure:
            ui.complain(f"seed {seed}: {failure}")
            codes.append(ENVIRONMENT)
            break
        code = _code(finished)
        documents.append(_document(finished))
        if not as_json:
            line = text.headline(finished.history, finished.judgement)
            click.echo(f"seed {seed}: {line}; {finished.folder.path}")
            if code != OK and not any(codes):
                click.echo(f"first failure: `{one.command()}`, or `wdm report {finished.folder.path}`")
        codes.append(code)
        if code == INTERRUPTED:
            break
    if as_json:
        ui.document(documents)
    ui.next_step("`wdm runs` lists all runs, `wdm report` shows the last one")
    return max(codes, key=WORST.index)


def _run(plan: Plan, runs: Path, *, quiet: bool = False) -> Finished:
    title = f"{plan.scenario.name}: {plan.protocol}, seed {plan.seed}"
    try:
        if quiet:
            return conduct(plan, runs)
        with Progress(title) as progress:
            return conduct(plan, runs, (progress,), _announce)
    except HistoryError as error:
        raise EnvironmentFailure(str(error)) from error


def _announce(folder: RunFolder) -> None:
    ui.say(f"run folder {folder.path}")


def _document(finished: Finished) -> dict[str, Any]:
    folder = str(finished.folder.path)
    return {**results.render(finished.history, finished.judgement), "folder": folder, "exit": _code(finished)}


def _code(finished: Finished) -> int:
    return INTERRUPTED if finished.interrupted else CODES[finished.judgement.verdict]
