"""Many seeds of one plan on all cores: the result of each run, in the order of the seeds."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.report.text import headline
from harness.run import in_memory
from harness.run.plan import Plan

CHUNK = 5
ALONE = 8
"""The largest number of seeds that one process finishes before other processes have started."""


@dataclass(frozen=True, slots=True)
class SeedResult:
    """The result of the run of one seed; `simulated_s` is the virtual time from its start to its end."""

    seed: int
    verdict: str
    headline: str
    checkouts: int
    faults: int
    simulated_s: float
    digest: str


def run_seeds(plan: Plan, count: int, workers: int | None = None) -> Iterator[SeedResult]:
    """Run `count` seeds from the plan's seed on. Closing the iterator stops the rest."""
    plans = (replace(plan, seed=seed) for seed in range(plan.seed, plan.seed + count))
    workers = min(workers or os.cpu_count() or 1, -(-count // CHUNK))
    if count <= ALONE or workers == 1:
        yield from map(_run_seed, plans)
        return
    # A forked process would inherit threads and locks of this one, so each worker is a new interpreter.
    with multiprocessing.get_context("spawn").Pool(workers, _leave_signals_to_the_parent) as pool:
        yield from pool.imap(_run_seed, plans, CHUNK)


def _leave_signals_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _run_seed(plan: Plan) -> SeedResult:
    run = in_memory.run(plan)
    if run.interrupted:
        raise KeyboardInterrupt
    history = run.history
    return SeedResult(
        seed=plan.seed,
        verdict=str(run.judgement.verdict),
        headline=headline(history, run.judgement),
        checkouts=sum(operation.op == "checkout" for operation in history.operations),
        faults=len(history.of_kind("fault-start")),
        simulated_s=(history.end_ns - history.start_ns) / 1e9,
        digest=run.digest,
    )
