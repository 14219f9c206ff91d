"""`wdm bench`: the cost and the kept claims of several protocols, side by side."""

import secrets
import shlex
from pathlib import Path
from typing import Any

import click

from harness.bench import cases
from harness.bench.cases import DEFAULT_SCENARIOS, FAULT_FREE, Bench, BenchCase, Candidate, atomic, swept
from harness.bench.execute import Turn, execute
from harness.bench.pace import Pace
from harness.checkers import Verdict
from harness.errors import EnvironmentFailure
from harness.history import HistoryError
from harness.metrics import thresholds
from harness.report import bench as report
from harness.report import text
from harness.report.finish import Finished
from harness.run import scenarios
from harness.run.bench_manifest import BenchFolder
from protocols import registry
from protocols.errors import UsageError
from protocols.service.links import TRANSPORTS
from wdm import ui
from wdm.combined import refuse_idle_load
from wdm.comparison import show
from wdm.exits import CODES, ENVIRONMENT, INTERRUPTED, VIOLATED
from wdm.live import Progress
from wdm.options import as_json, common, nodes, option, runs_folder
from wdm.parameters import MOST_SEED, Number, Whole

LARGEST_SEED = 2**31
RATE_PER_S = 100.0
CAPACITY_S = 3.0
CLIENTS = 32
LIMIT_P99_MS = 50.0


@click.command()
@common
@option(
    "--protocol",
    multiple=True,
    metavar="NAME",
    help="Protocol to compare; may be repeated.  [default: all but the control]",
)
@option(
    "--transport",
    type=click.Choice(list(TRANSPORTS)),
    multiple=True,
    help="Transport to compare; may be repeated.  [default: http]",
)
@nodes
@option(
    "--rate",
    type=Number(0.1, 50_000),
    help="Open loop: checkouts a second, independent of the answers.  [default: 100]",
)
@option("--clients", type=Whole(1, 2_000), help="Closed loop: number of clients, each of which waits for its answer.")
@option(
    "--arrivals",
    type=click.Choice(["poisson", "fixed"]),
    default="poisson",
    show_default=True,
    help="Distribution of the arrivals of an open loop.",
)
@option(
    "--duration",
    type=Number(1, 3_600),
    default=20.0,
    show_default=True,
    metavar="S",
    help="Load duration of each case in seconds.",
)
@option(
    "--scenario",
    multiple=True,
    metavar="SCENARIO",
    help=f"Scenario whose faults to inject; may be repeated.  [default: {' and '.join(DEFAULT_SCENARIOS)}]",
)
@option(
    "--rounds",
    type=Whole(1, 100),
    default=1,
    show_default=True,
    help="Number of rounds; the candidates take turns in each.",
)
@option("--find-max", is_flag=True, help="Search for the highest rate within --p99-ms, and run the load at that rate.")
@option(
    "--p99-ms",
    type=Number(0.1, 60_000),
    default=LIMIT_P99_MS,
    show_default=True,
    help="Latency limit of --find-max: 99th percentile in milliseconds.",
)
@option("--items", type=Whole(1, 100), default=2, show_default=True, help="Number of items in an order.")
@option(
    "--skew",
    type=Number(0, 3),
    default=0.0,
    show_default=True,
    help="Zipf exponent of the choice of items; 0 for a uniform choice.",
)
@option(
    "--sweep",
    multiple=True,
    metavar="NAME=V,V",
    help=f"Row for each value of one of: {', '.join(cases.SWEPT)}; may be repeated.",
)
@option(
    "--fail-if",
    multiple=True,
    metavar="CONDITION",
    help="Condition of a row for exit code 1: 'p99_ms > 50', '2pc@fault-free: messages > 8'.",
)
@option("--seed", type=Whole(0, MOST_SEED), help="Seed of every random choice.  [default: random, and printed]")
@runs_folder("Folder for the run folders.")
@as_json
def bench(runs_dir: Path, as_json: bool, fail_if: tuple[str, ...], **given: Any) -> int:
    """Compare protocols: speed, cost and kept claims.

    All candidates meet the same load and the same faults. By default every protocol that claims atomicity runs for 20 s
    without faults, and for 20 s in which each node is killed in turn. Latency counts from the moment at which a checkout is
    due, so a stall counts for every checkout that falls into it. Exit code 0: all claims held and no --fail-if condition was
    met; 1: a claim was violated or a condition met; 3: inconclusive; 4: the environment failed.
    """
    for condition in fail_if:
        thresholds.parse(condition)
    ui.name_leftovers()
    wanted = plan(given, fail_if)
    refuse_idle_load(given, [text.partition("=")[0] for text in given["sweep"]])
    ui.progress(
        f"seed {wanted.seed}: {len(wanted.cases)} rows, {wanted.rounds} rounds, {wanted.duration_s:g} s of load each"
    )
    stage = Stage()
    try:
        folder, _ = execute(
            wanted, runs_dir, fail_if, stage.begin, stage.end, lambda made: ui.progress(f"run folder {made.path}")
        )
    except HistoryError as error:
        raise EnvironmentFailure(str(error)) from error
    finally:
        stage.close()
    document = report.finish(folder)
    code = _code(document, folder)
    if as_json:
        ui.document({**document, "folder": str(folder.path), "exit": code})
    else:
        show(document)
    ui.progress(f"kept in {folder.path}")
    ui.next_step(f"`wdm report {folder.path.name} --open` shows it in a browser, `{wanted.command}` runs it again")
    return code


def plan(given: dict[str, Any], fail_if: tuple[str, ...] = ()) -> Bench:
    """Build the bench from the parameters. Raises `UsageError` for every mistake of the caller."""
    if given["rate"] is not None and given["clients"] is not None:
        raise UsageError("--rate is an open loop and --clients a closed one: give one of them")
    if given["find_max"] and (given["rate"] is not None or given["clients"] is not None):
        raise UsageError("--find-max looks for the rate: give neither --rate nor --clients")
    seed = given["seed"] if given["seed"] is not None else secrets.randbelow(LARGEST_SEED)
    chosen = [
        BenchCase(
            Candidate(protocol, transport),
            scenario,
            given["workers"],
            given["items"],
            given["skew"],
            _pace(given),
            given["copies"],
        )
        for protocol in dict.fromkeys(given["protocol"] or atomic())
        for transport in _transports(protocol, given["transport"])
        for scenario in dict.fromkeys(given["scenario"] or ((FAULT_FREE,) if given["find_max"] else DEFAULT_SCENARIOS))
    ]
    for case in chosen:
        if case.scenario != FAULT_FREE:
            scenarios.load(case.scenario)
    return Bench(
        cases=tuple(swept(chosen, given["sweep"])),
        seed=seed,
        rounds=given["rounds"],
        duration_s=given["duration"],
        runtime=given["runtime"],
        durability=given["durability"],
        command=_command(given, fail_if, seed),
    )


def _transports(protocol: str, chosen: tuple[str, ...]) -> list[str]:
    """Return the transports to compare; a protocol without messages between services has one row."""
    return list(dict.fromkeys(chosen or ("http",))) if registry.load(protocol).messages else ["http"]


def _pace(given: dict[str, Any]) -> Pace:
    if given["clients"] is not None:
        return Pace(rate_per_s=None, clients=given["clients"], arrivals=given["arrivals"])
    limit = given["p99_ms"] if given["find_max"] else None
    return Pace(
        rate_per_s=given["rate"] or RATE_PER_S,
        clients=CLIENTS,
        arrivals=given["arrivals"],
        capacity_s=0.0 if limit else CAPACITY_S,
        limit_p99_ms=limit,
    )


def _command(given: dict[str, Any], fail_if: tuple[str, ...], seed: int) -> str:
    """Return the command line that repeats the bench: options other than the defaults, and the seed."""
    usual = {"runtime": "local", "arrivals": "poisson", "duration": 20.0, "rounds": 1, "p99_ms": LIMIT_P99_MS}
    usual |= {"workers": 1, "copies": 1, "items": 2, "skew": 0.0, "durability": "everysec"}
    parts = ["wdm", "bench"]
    for name, value in {**given, "fail_if": fail_if}.items():
        flag = f"--{name.replace('_', '-')}"
        if name == "seed" or value in (None, (), False) or usual.get(name) == value:
            continue
        if value is True:
            parts.append(flag)
        else:
            for item in value if isinstance(value, tuple) else (value,):
                parts += [flag, f"{item:g}" if isinstance(item, float) else str(item)]
    return shlex.join([*parts, "--seed", str(seed)])


class Stage:
    """The progress of one run after the other."""

    def __init__(self) -> None:
        self._progress: Progress | None = None

    def begin(self, turn: Turn) -> Progress:
        self.close()
        title = f"{turn.case.name} ({turn.number} of {turn.of})"
        ui.progress(f"{title}{f', round {turn.round}' if turn.of > turn.number or turn.round > 1 else ''}")
        self._progress = Progress(title).__enter__()
        return self._progress

    def end(self, finished: Finished) -> None:
        self.close()
        ui.progress(f"  {text.headline(finished.history, finished.judgement)}")

    def close(self) -> None:
        if self._progress is not None:
            self._progress.__exit__(None, None, None)
            self._progress = None


def _code(document: dict[str, Any], folder: BenchFolder) -> int:
    trouble = folder.manifest().trouble
    if trouble == "interrupted":
        return INTERRUPTED
    if document["verdict"] == Verdict.VIOLATED or any(not condition["met"] for condition in document["thresholds"]):
        return VIOLATED
    if trouble:
        ui.error(trouble)
        return ENVIRONMENT
    return CODES[Verdict(document["verdict"])]
