"""Reads beside escrows: the claims hold, and the weaker claim is needed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.checkers.isolation import check
from harness.run import in_memory, scenarios
from harness.run.in_memory import InMemoryRun
from harness.run.plan import Plan
from harness.workload.sets import Sets
from tests.sim.conftest import examined

# Few accounts, so that two checkouts meet at both ends; and a network that lets one of them be first here, the other there.
MEETING = Sets(clients=16, users=2, items=2, checkouts=40, pairs=0.0, readers=0.5)
SEEDS = [range(1, 3), pytest.param(range(3, 6), marks=pytest.mark.slow)]


def runs(reads: str, seeds: range) -> Iterator[InMemoryRun]:
    scenario = replace(scenarios.load("flaky-network"), workload=MEETING, duration_s=8.0)
    options = {"locks": "escrow", "reads": reads}
    return (in_memory.run(Plan(scenario, "2pc", seed, runtime="sim", options=options)) for seed in seeds)


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_settled_reads_are_strictly_serializable(seeds: range) -> None:
    for done in runs("settled", seeds):
        assert (done.judgement.verdict, sorted(done.names)) == ("holds", []), done.judgement.reasons
        assert check(done.history).figures["anomalies"] == {}


@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_without_waiting_two_checkouts_are_seen_in_two_orders_and_that_is_claimed(seeds: range) -> None:
    seen: Counter[str] = Counter()
    for done in runs("committed", seeds):
        assert (done.judgement.verdict, sorted(done.names)) == ("holds", []), done.judgement.reasons
        seen.update(check(done.history).figures["anomalies"])
    assert seen["G0"]
    assert not {"G1a", "G1b", "garbage-read", "incompatible-reads"} & set(seen), "what is read was committed"


@pytest.mark.parametrize("seeds", [[1], pytest.param([2, 3], marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("scenario", ["everything", "hot-item", "slow-log", "store-cut", "kill-one-at-a-time"])
def test_escrow_holds_under_every_fault(scenario: str, seeds: list[int]) -> None:
    for seed in seeds:
        done = examined(scenario, seed=seed, options={"locks": "escrow", "reads": "settled"})
        assert (done.judgement.verdict, sorted(done.names)) == ("holds", []), f"seed {seed}: {done.judgement.reasons}"
