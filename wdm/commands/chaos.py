"""`wdm chaos`: faults in a shop under load, and a verdict on the history of its clients."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from harness.errors import EnvironmentFailure
from harness.history import HistoryError
from harness.report import results, text
from harness.report.finish import Finished, finish
from harness.run import scenarios
from harness.run.folder import RunFolder
from harness.run.plan import Plan, crashing_at, simulated
from harness.run.record import record
from harness.run.scenarios import Scenario
from harness.runtimes.deployment.spec import BROKER_NODES, MAX_GATEWAYS, MAX_WORKERS
from harness.runtimes.table import RUNTIMES, SIMULATED
from protocols.service.links import TRANSPORTS
from wdm import ui
from wdm.combined import refuse_idle_broker
from wdm.exits import CODES, ENVIRONMENT, INTERRUPTED, OK, WORST
from wdm.live import Progress
from wdm.options import as_json, chosen, common, of_the_protocols, option, runs_folder
from wdm.parameters import MOST_SEED, CopiesOption, Number, Text, Whole
from wdm.simulated import seeds_in_the_simulator

LARGEST_SEED = 2**31
MOST_SEEDS = 10_000_000
DEFAULT_SEEDS = 50
"""Number of simulated runs without `--seed` and `--seeds`: a few seconds of work."""


@click.command()
@common
@click.argument("scenario", type=Text(), default=scenarios.DEFAULT)
@option("--protocol", default="2pc", show_default=True, help="Protocol to run; `wdm protocols` lists them.")
@option(
    "--runtime",
    type=click.Choice(list(RUNTIMES)),
    default=SIMULATED,
    show_default=True,
    help="Runtime of the nodes: simulated in virtual time, local processes or containers.",
)
@option(
    "--transport",
    type=click.Choice(list(TRANSPORTS)),
    default="http",
    show_default=True,
    help="Transport of the messages between services; a broker is a target of faults as well.",
)
@of_the_protocols
@option("--seed", type=Whole(0, MOST_SEED), help="Seed of every random choice.  [default: random, and printed]")
@option(
    "--seeds",
    type=Whole(1, MOST_SEEDS),
    help=f"Number of runs, each with the next seed.  [default: {DEFAULT_SEEDS} simulated, 1 with --seed or another runtime]",
)
@option("--crash-at", metavar="POINT", help="Failpoint at which services crash, in place of the scenario's faults.")
@option(
    "--ablate", multiple=True, metavar="NAME", help="Safeguard to switch off, see `wdm protocols`; may be repeated."
)
@option(
    "--durability",
    type=click.Choice(["everysec", "always"]),
    help="Moment of a store's forced writes: once a second, or before each answer.  [default: the scenario's]",
)
@option("--workers", type=Whole(1, MAX_WORKERS), help="Number of instances of each service.  [default: the scenario's]")
@option("--copies", type=CopiesOption(), help="Servers of each store, and their manager.  [default: the scenario's]")
@option(
    "--gateways",
    type=Whole(1, MAX_GATEWAYS),
    help="Number of gateways.  [default: the scenario's]",
)
@option(
    "--brokers",
    type=Whole(1, BROKER_NODES),
    help=f"Nodes of the broker, 1 or {BROKER_NODES}.  [default: the scenario's]",
)
@option("--duration-s", type=Number(0.1, 3_600), help="Load duration in seconds.  [default: the scenario's]")
@runs_folder("Folder for the run folders.")
@as_json
def chaos(
    scenario: str,
    seed: int | None,
    seeds: int | None,
    runs_dir: Path,
    as_json: bool,
    **given: Any,
) -> int:
    """Inject faults into a shop under load and judge the run.

    SCENARIO is a name from `wdm scenarios` or a file. The simulator is the default runtime: it runs 50 seeds in seconds, and
    keeps the smallest failing run. `--runtime local` starts real processes, `--runtime docker` containers, for one run by
    default. Exit code 0: all claims held; 1: a claim was violated; 3: inconclusive; 4: the environment failed.
    """
    ui.name_leftovers()
    many = given["runtime"] == SIMULATED and seed is None
    several = seeds or (DEFAULT_SEEDS if many else 1)
    first = seed if seed is not None else 1 if seeds and seeds > 1 else secrets.randbelow(LARGEST_SEED)
    plan = _plan(scenario, first, given)
    if several == 1:
        return once(plan, runs_dir, as_json)[0]
    if plan.runtime == SIMULATED:
        return seeds_in_the_simulator(plan, several, runs_dir, as_json)
    return _again_and_again(plan, several, runs_dir, as_json)


def _plan(named: str, seed: int, given: dict[str, Any]) -> Plan:
    """Build the plan of the run. Raises `UsageError` for every mistake of the caller."""
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
    """Return the scenario with the changes of the flags, and the flags that repeat these changes."""
    extra: list[str] = []
    for name in ("durability", "workers", "copies", "gateways", "brokers", "duration_s"):
        if given[name] is not None:
            scenario = replace(scenario, **{name: given[name]})
            extra += [f"--{name.replace('_', '-')}", str(given[name])]
    return scenario, tuple(extra)


def once(plan: Plan, runs: Path, as_json: bool) -> tuple[int, str]:
    """Conduct one run with its progress on stderr. Returns the exit code and the digest of its execution."""
    ui.progress(f"seed {plan.seed}: {plan.scenario.name} on {plan.protocol}, {plan.scenario.duration_s:g} s of load")
    finished = _run(plan, runs)
    if as_json:
        ui.document(_document(finished))
    else:
        click.echo(text.render(finished.history, finished.judgement), nl=False)
    ui.progress(f"kept in {finished.folder.path}")
    if finished.digest:
        ui.progress(f"trace {finished.digest}: `wdm replay {finished.folder.path}` repeats the execution")
    command = finished.history.header.config["command"]
    ui.next_step(f"`{command}` repeats it, `wdm check-history {finished.folder.history}` judges it again")
    return _code(finished), finished.digest


def _again_and_again(plan: Plan, seeds: int, runs: Path, as_json: bool) -> int:
    """Conduct one run a seed, with a line each. Only an interrupt or a failure of the environment ends it early."""
    documents, codes = [], [OK]
    for seed in range(plan.seed, plan.seed + seeds):
        seeded = replace(plan, seed=seed)
        try:
            finished = _run(seeded, runs, quiet=True)
        except EnvironmentFailure as failure:
            ui.error(f"seed {seed}: {failure}")
            codes.append(ENVIRONMENT)
            break
        code = _code(finished)
        documents.append(_document(finished))
        if not as_json:
            line = text.headline(finished.history, finished.judgement)
            click.echo(f"seed {seed}: {line}; {finished.folder.path}")
            if code != OK and not any(codes):
                click.echo(f"first failure: `{seeded.command()}`, or `wdm report {finished.folder.path}`")
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
            return finish(record(plan, runs))
        with Progress(title) as progress:
            return finish(record(plan, runs, (progress,), _announce))
    except HistoryError as error:
        raise EnvironmentFailure(str(error)) from error


def _announce(folder: RunFolder) -> None:
    ui.progress(f"run folder {folder.path}")


def _document(finished: Finished) -> dict[str, Any]:
    folder = str(finished.folder.path)
    document = results.render(finished.history, finished.judgement, finished.digest)
    return {**document, "folder": folder, "exit": _code(finished)}


def _code(finished: Finished) -> int:
    return INTERRUPTED if finished.interrupted else CODES[finished.judgement.verdict]
