"""The end of a run in virtual time, judged by the checker of recovery."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from harness.checkers import recovery
from harness.checkers.finding import Finding, Verdict
from harness.history import Header, MemoryRecorder, RecordedClaims
from harness.run import quiescence
from harness.run.prober import Prober
from harness.runtimes.sim.loop import VirtualLoop, run
from protocols import registry

BOUND_S = 2.0
HEAL_AT_S = 5.0
QUEUE_UNTIL_S = 6.0
"""The time after the heal at which the queue of requests is empty."""

Listing = Callable[[float], list[str]]
"""A function from the seconds since the heal to the names of the unfinished transactions."""

HEADER = Header(
    protocol="2pc",
    claims=RecordedClaims(atomicity="atomic", isolation="none", durability="always", recovery_s=BOUND_S),
    scenario="test",
    workload="checkout",
    durability="always",
    runtime="sim",
    seed=1,
)


def queued(after_s: float) -> list[str]:
    """List the transaction of the request at the head of a queue: each takes half a second."""
    return [f"queued.{after_s // 0.5:g}"] if after_s < QUEUE_UNTIL_S else []


def stuck_since(begin_s: float) -> Listing:
    return lambda after_s: [*queued(after_s), *(["stuck.1"] if after_s >= begin_s else [])]


def retried(after_s: float) -> list[str]:
    """List the present attempt at one order, which began before the heal and fails every half second."""
    return [f"again.{after_s // 0.5:g}"]


def subject(txn: str) -> str:
    """Return the order of a transaction: one for all attempts of `retried`, and else one each."""
    return "o" if txn.startswith("again") else txn


def finding(listing: Listing, *, drained_s: float = QUEUE_UNTIL_S) -> Finding:
    """Judge the end of a run whose last client is answered at `drained_s` after the heal."""
    loop = VirtualLoop()
    recorder = MemoryRecorder(HEADER, loop.time_ns)
    started = loop.time()

    async def unfinished() -> list[dict[str, Any]]:
        rows = listing(loop.time() - started - HEAL_AT_S)
        return [{"txn": txn, "state": "open", "service": "order", "subject": subject(txn)} for txn in rows]

    async def play() -> None:
        prober = Prober(recorder, unfinished, registry.load("2pc"), BOUND_S)
        watch = asyncio.create_task(prober.watch(1.0))
        await asyncio.sleep(HEAL_AT_S)
        prober.healed()
        await quiescence.await_quiescence(prober, asyncio.sleep(drained_s), BOUND_S)
        watch.cancel()

    run(loop, play())
    return recovery.check(recorder.history())


def test_transactions_of_requests_that_were_queued_until_the_heal_are_not_left_over() -> None:
    assert finding(queued).verdict == Verdict.HOLDS


@pytest.mark.parametrize("begin_s", [-3.0, 0.0, 4.0], ids=["before the heal", "at the heal", "after the heal"])
def test_a_stuck_transaction_among_queued_ones_is_found(begin_s: float) -> None:
    (violation,) = finding(stuck_since(begin_s)).violations
    assert violation.name == "transaction-left-open"
    assert "later the shop had 1 open transactions" in violation.explanation
    assert "(unfinished: stuck.1 open in order (stuck.1)" in violation.explanation


def test_an_order_whose_every_attempt_fails_is_overdue_though_each_attempt_is_young() -> None:
    (violation,) = finding(retried).violations
    assert violation.name == "transaction-left-open"


def test_the_probes_go_on_while_the_last_clients_wait_for_an_answer() -> None:
    """A checkout that begins when the shop was at rest beyond the bound is finished before the final reads."""
    late = finding(lambda after_s: ["late.1"] if 9.0 <= after_s < 10.5 else [], drained_s=9.5)
    assert late.verdict == Verdict.HOLDS
    assert finding(lambda after_s: ["late.1"] if after_s >= 9.0 else [], drained_s=9.5).violations


def test_a_shop_that_begins_transactions_for_ever_ends_its_run_with_an_unknown_verdict() -> None:
    endless = finding(lambda after_s: [f"endless.{after_s // 0.5:g}"])
    assert (endless.verdict, endless.figures["recovered_after_s"]) == (Verdict.UNKNOWN, None)
