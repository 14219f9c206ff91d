"""Many seeds of one plan, spread over the cores: what each came to, in the order of the seeds."""

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
"""So few seeds are done sooner than other processes start."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of one seed. `simulated_s` from its start to its end."""

    seed: int
    verdict: str
    headline: str
    checkouts: int
    faults: int
    simulated_s: float
    digest: str


def each(plan: Plan, count: int, workers: int | None = None) -> Iterator[Told]:
    """Run `count` seeds from the plan's on. Whoever stops listening stops the rest."""
    plans = (replace(plan, seed=seed) for seed in range(plan.seed, plan.seed + count))
    workers = min(workers or os.cpu_count() or 1, -(-count // CHUNK))
    if count <= ALONE or workers == 1:
        yield from map(_one, plans)
        return
    # Processes that start from nothing: a fork would take threads and locks of this one along.
    with multiprocessing.get_context("spawn").Pool(workers, _leave_signals_to_the_parent) as pool:
        yield from pool.imap(_one, plans, CHUNK)


def _leave_signals_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _one(plan: Plan) -> Told:
    done = in_memory.run(plan)
    if done.interrupted:
        raise KeyboardInterrupt
    history = done.history
    return Told(
        seed=plan.seed,
        verdict=str(done.judgement.verdict),
        headline=headline(history, done.judgement),
        checkouts=sum(operation.op == "checkout" for operation in history.operations),
        faults=len(history.of_kind("fault-start")),
        simulated_s=(history.end_ns - history.start_ns) / 1e9,
        digest=done.digest,
    )
