"""The answer to a checkout after one attempt or many: above all, never a refusal of a checkout that may still happen."""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from protocols.core import Request
from protocols.outcomes import Decision, Outcome
from protocols.ports import LoopClock
from protocols.service.checkout_retrier import CheckoutRetrier
from protocols.service.transaction_ids import TransactionIds

YES = Outcome(Decision.COMMITTED)


class Answering:
    """A driver whose transactions end as in the script: with an outcome, or None for no answer at all."""

    def __init__(self, *script: Outcome | None) -> None:
        self.requests: list[Request] = []
        self._script = iter(script)

    def start(self, _txn: str, request: Request, reply: Callable[[Outcome], None]) -> None:
        self.requests.append(request)
        outcome = next(self._script)
        if outcome is not None:
            reply(outcome)


def living(instance: str = "p") -> TransactionIds:
    """The names of a process that has its life's number."""
    ids = TransactionIds(instance)
    ids.enlist(1)
    return ids


def attempts(driver: Any, limit_ms: int = 5_000) -> CheckoutRetrier:
    return CheckoutRetrier("order", "order-1", driver, living(), LoopClock(), Random(1), limit_ms)


async def test_an_undecided_checkout_is_unknown_at_the_time_limit_and_not_refused() -> None:
    assert (await attempts(Answering(None), limit_ms=50).run("o")).outcome is None


async def test_a_conflict_is_tried_again_with_the_same_age() -> None:
    driver = Answering(Outcome.rejected("locked:item:1:p.7"), Outcome.rejected("conflict:fenced"), YES)
    assert (await attempts(driver).run("o")).outcome == YES
    assert len({request.priority_us for request in driver.requests}) == 1
    assert len(driver.requests) == 3


async def test_a_checkout_adopts_until_it_has_begun_a_transaction() -> None:
    """Two living copies that both adopted would end each other's transactions again and again."""
    begun = ("busy:p.7", "busy:p.7", "conflict:fenced", "busy:q.3")
    driver = Answering(*map(Outcome.rejected, begun), YES)
    assert (await attempts(driver).run("o", "k")).outcome == YES
    assert [request.adopts for request in driver.requests] == [("k",), ("k",), ("k",), (), ()]


async def test_a_checkout_adopts_for_a_copy_that_joins_it() -> None:
    driver = Answering(*map(Outcome.rejected, ("conflict:fenced", "busy:p.7")), YES)
    retrier = attempts(driver)
    first = asyncio.create_task(retrier.run("o", "k"))
    while not driver.requests:
        await asyncio.sleep(0)
    assert await retrier.run("o", "l") == await first
    assert [request.adopts for request in driver.requests] == [("k",), ("l",), ("l",)]


async def test_a_refusal_is_final() -> None:
    refusal = Outcome.rejected("short:item:1")
    assert (await attempts(Answering(refusal)).run("o")).outcome == refusal


async def test_endless_conflict_is_refused_as_late_and_did_not_happen() -> None:
    driver = Answering(*[Outcome.rejected("busy:p.7")] * 1_000)
    assert (await attempts(driver, limit_ms=900).run("o")).outcome == Outcome.rejected("timeout")


@pytest.mark.parametrize("outcome", [YES, None])
async def test_the_next_one_for_the_same_order_is_another_transaction(outcome: Outcome | None) -> None:
    driver = Answering(outcome, YES)
    both = attempts(driver, limit_ms=50)
    await both.run("o")
    assert (await both.run("o")).outcome == YES


class Patient(LoopClock):
    """A clock on which no time limit ends."""

    def call_later(self, after_ms: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        return super().call_later(after_ms + 3_600_000, call)


async def test_attempts_are_bounded_and_a_checkout_that_waits_too_long_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("protocols.service.checkout_retrier.MOST_ATTEMPTS", 3)
    driver = Answering(*[None] * 3)
    retrier = CheckoutRetrier("order", "order-1", driver, living(), Patient(), Random(1), limit_ms=100)  # type: ignore[arg-type]
    first = [asyncio.ensure_future(retrier.run(f"o{number}")) for number in range(3)]
    while len(driver.requests) < 3:
        await asyncio.sleep(0)
    assert [(await retrier.run(f"o{number}")).outcome for number in (3, 4)] == [Outcome.rejected("timeout")] * 2
    assert len(driver.requests) == 3
    assert not any(one.done() for one in first)
    for one in first:
        one.cancel()


async def test_unended_transactions_are_bounded_even_if_their_clients_have_an_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("protocols.service.transaction_ids.MOST_UNENDED", 3)
    driver, ids = Answering(*[Outcome(Decision.ACCEPTED)] * 9), living()
    retrier = CheckoutRetrier("order", "order-1", driver, ids, LoopClock(), Random(1), limit_ms=200)  # type: ignore[arg-type]
    outcomes = [(await retrier.run(f"o{number}")).outcome for number in range(4)]
    assert [outcome and outcome.decision for outcome in outcomes] == [*[Decision.ACCEPTED] * 3, Decision.REFUSED]
    for _ in range(2):
        ids.end("p~1.0")  # once or more often
    ids.end("other.7")
    assert (await retrier.run("o4")).outcome == Outcome(Decision.ACCEPTED)
    assert (await retrier.run("o5")).outcome == Outcome.rejected("timeout")
    assert len(driver.requests) == 4


async def test_a_checkout_waits_for_the_number_of_the_life_and_no_longer_than_it_may() -> None:
    driver, ids = Answering(YES), TransactionIds("p")
    early = CheckoutRetrier("order", "order-1", driver, ids, LoopClock(), Random(1), limit_ms=5_000)  # type: ignore[arg-type]
    hasty = CheckoutRetrier("order", "order-1", driver, ids, LoopClock(), Random(1), limit_ms=50)  # type: ignore[arg-type]
    waiting = asyncio.ensure_future(early.run("o"))
    assert (await hasty.run("p")).outcome == Outcome.rejected("timeout")
    assert driver.requests == []
    ids.enlist(1)
    assert (await waiting).outcome == YES
