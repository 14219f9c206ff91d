"""``wdm chaos``: break a shop on purpose, and judge what its clients saw."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from harness.chaos.conduct import Finished, conduct
from harness.errors import EnvironmentFailure
from harness.history import HistoryError
from harness.report import results, text
from harness.run import scenarios
from harness.run.environment import SIMULATED, SITES
from harness.run.folder import RunFolder
from harness.run.plan import Plan, crashing_at, simulated
from harness.run.scenarios import Scenario
from harness.runtimes.local.control import view
from harness.runtimes.local.spec import MAX_WORKERS
from harness.runtimes.local.state import DEFAULT as STATE_DIR
from harness.runtimes.local.state import StateFolder
from protocols.service.links import TRANSPORTS
from wdm import ui
from wdm.combined import refuse_idle_broker
from wdm.exits import CODES, ENVIRONMENT, INTERRUPTED, OK, WORST
from wdm.live import Progress
from wdm.options import as_json, chosen, common, of_the_protocols, option, runs_folder
from wdm.parameters import MOST_SEED, Number, Text, Whole
from wdm.simulated import seeds_in_the_simulator

LARGEST_SEED = 2**31
MOST_SEEDS = 10_000_000
TASTE_SEEDS = 50
"""What is run where nothing was asked for: enough to believe something, in a few seconds."""

WHERE_TO = frozenset({"runs_dir", "as_json"})
"""What says nothing of what is to be run."""


@click.command()
@common
@click.argument("scenario", type=Text(), default=scenarios.DEFAULT)
@option("--protocol", default="2pc", show_default=True, help="See `wdm protocols`.")
@option(
    "--runtime",
    type=click.Choice(list(SITES)),
    help="Where the shop runs; sim is virtual time in one process.  [default: local; sim if nothing is asked for]",
)
@option(
    "--transport",
    type=click.Choice(list(TRANSPORTS)),
    default="http",
    show_default=True,
    help="How messages get from service to service; its broker is a target like any other node.",
)
@of_the_protocols
@option("--seed", type=Whole(0, MOST_SEED), help="Decides every random choice.  [default: drawn, and printed]")
@option("--seeds", type=Whole(1, MOST_SEEDS), help="So many runs, each with the next seed.  [default: 1]")
@option("--crash-at", metavar="POINT", help="Only this fault: a service dies at a point between two effects.")
@option("--ablate", multiple=True, metavar="NAME", help="Switch a safeguard off; may be repeated. See `wdm protocols`.")
@option(
    "--durability",
    type=click.Choice(["everysec", "always"]),
    help="When a store forces its log.  [default: the scenario's]",
)
@option("--workers", type=Whole(1, MAX_WORKERS), help="Processes a service.  [default: the scenario's]")
@option("--duration-s", type=Number(0.1, 3_600), help="Of the load.  [default: the scenario's]")
@runs_folder("Where the run folders go.")
@as_json
@click.pass_context
def chaos(
    context: click.Context,
    /,
    scenario: str,
    seed: int | None,
    seeds: int | None,
    runs_dir: Path,
    as_json: bool,
    **given: Any,
) -> int:
    """Break a shop while clients use it, and judge what they saw against what the protocol claims.

    SCENARIO is a name from `wdm scenarios` or a file. With nothing said at all, and no shop up in this folder, some seeds are
    run in the simulator: that takes seconds and needs nothing. Exit code 0: everything claimed held; 1: something claimed
    was violated; 3: nothing can be said; 4: the environment failed.
    """
    ui.name_leftovers()
    given["runtime"] = given["runtime"] or _runtime(context)
    taste = given["runtime"] == SIMULATED and seeds is None and seed is None
    several = seeds or (TASTE_SEEDS if taste else 1)
    first = seed if seed is not None else 1 if seeds and seeds > 1 else secrets.randbelow(LARGEST_SEED)
    plan = _plan(scenario, first, given)
    if several == 1:
        return once(plan, runs_dir, as_json)[0]
    if plan.runtime == SIMULATED:
        return seeds_in_the_simulator(plan, several, runs_dir, as_json)
    return _again_and_again(plan, several, runs_dir, as_json)


def _runtime(context: click.Context) -> str:
    """Where nothing was asked for and nothing runs, the simulator; else real processes."""
    asked = [
        name
        for name in context.params
        if name not in WHERE_TO and context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    return "local" if asked or view(StateFolder(Path(STATE_DIR))) is not None else SIMULATED


def _plan(named: str, seed: int, given: dict[str, Any]) -> Plan:
    """Every mistake of the caller is found here."""
    scenario, extra = _changed(scenarios.load(named), given)
    plan = Plan(
        scenario=simulated(scenario) if given["runtime"] == SIMULATED else scenario,
        named=named,
        protocol=given["protocol"],
        runtime=given["runtime"],
        transport=given["transport"],
        seed=seed,
        options=chosen(given),
        ablate=tuple(given["ablate"]),
        extra=extra,
    )
    plan.spec()
    refuse_idle_broker(plan.protocol, plan.transport)
    return crashing_at(plan, given["crash_at"]) if given["crash_at"] else plan


def _changed(scenario: Scenario, given: dict[str, Any]) -> tuple[Scenario, tuple[str, ...]]:
    """The scenario as the flags want it, and the flags that it takes to want it again."""
    extra: list[str] = []
    for name in ("durability", "workers", "duration_s"):
        if given[name] is not None:
            scenario = replace(scenario, **{name: given[name]})
            extra += [f"--{name.replace('_', '-')}", str(given[name])]
    return scenario, tuple(extra)


def once(plan: Plan, runs: Path, as_json: bool) -> tuple[int, str]:
    """One run, shown as it goes. Its exit code and its digest."""
    ui.say(f"seed {plan.seed}: {plan.scenario.name} on {plan.protocol}, {plan.scenario.duration_s:g} s of load")
    finished = _run(plan, runs)
    if as_json:
        ui.document(_document(finished))
    else:
        click.echo(text.render(finished.history, finished.judgement), nl=False)
    ui.say(f"kept in {finished.folder.path}")
    if finished.digest:
        ui.say(f"trace {finished.digest}: `wdm replay {finished.folder.path}` takes the same course")
    ui.next_step(f"`{plan.command()}` runs it again, `wdm check-history {finished.folder.history}` judges it again")
    return _code(finished), finished.digest


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
    document = results.render(finished.history, finished.judgement, finished.digest)
    return {**document, "folder": folder, "exit": _code(finished)}


def _code(finished: Finished) -> int:
    return INTERRUPTED if finished.interrupted else CODES[finished.judgement.verdict]
