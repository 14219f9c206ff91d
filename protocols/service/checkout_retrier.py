"""From a client's request to transactions: one attempt after another until there is an outcome, or no time left.

The states of a checkout, from `run` to its answer:

      run ---- a checkout of the same subject is under way ----> waits for that one's outcome
       |
       |  free capacity                        an outcome that is final, or the time limit (None: unknown)
       +-------> FIRST ATTEMPT -------------------------------------------------------> ANSWERED
       |         (callbacks, no task)                                                      ^
       |              | conflict                                                           |
       |              v                        final, unknown, or "timeout": refused       |
       +-------> RETRYING -----------------------------------------------------------------+
      no capacity  (one task): pause, admission at the lost keys, capacity, attempt; after a conflict again

Most checkouts need one attempt. It runs by callbacks alone, for a task, a timeout and a semaphore of its own cost 15 us of a
checkout's processor time (`docs/performance.md`); only those that wait or lose get a task.

A checkout that finds its order taken by a transaction of another copy of its request adopts that one: this instance recovers it
at its next sweep, as its owner may be dead. A copy adopts only until a transaction of its own checkout has begun: two living
copies would otherwise end each other's transactions again and again.

An attempt that has begun is never refused for lack of time: its transaction may commit after the client's limit, so the
client's answer is "unknown". Only a checkout that still waits for its turn is refused, for it has definitely not happened.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from protocols.backoff import Backoff
from protocols.core import Request
from protocols.outcomes import Decision, Outcome
from protocols.ports import Clock, TimeLimit
from protocols.service.capacity_limiter import CapacityLimiter
from protocols.service.driver import Driver
from protocols.service.keyed_admission import KeyedAdmission
from protocols.service.tasks import Background
from protocols.service.transaction_ids import TransactionIds

FIRST_PAUSE_MS = 2.0
LONGEST_PAUSE_MS = 100.0
MOST_ATTEMPTS = 64  # at a time; more meet each other's locks so often that they do nothing but retry
DECISION_MS = 500  # the end of the time limit, kept free for the decision's way to the client

REFUSED_LATE = Outcome.rejected("timeout")


class CheckoutEnd(NamedTuple):
    """The end of a checkout: its outcome, None if that is unknown, and its last transaction, "" if none was begun."""

    outcome: Outcome | None
    txn: str


@dataclass(slots=True)
class PendingCheckout:
    """A checkout under way. `priority_us` is the time of its request, which all attempts share; `txn` the last attempt.

    `waiting` are its requests; `adopts` the keys of those since whose arrival none of its transactions has begun.
    """

    subject: str
    key: str
    priority_us: int
    limit: TimeLimit
    txn: str = ""
    waiting: list[asyncio.Future[CheckoutEnd]] = field(default_factory=list)
    adopts: list[str] = field(default_factory=list)


class CheckoutRetrier:
    """Runs the transactions of each subject one at a time; concurrent requests for one subject receive one outcome.

    `home` is the service and `owner` the instance that coordinates the transactions. `limit_ms` bounds each request.
    """

    def __init__(
        self, home: str, owner: str, driver: Driver, ids: TransactionIds, clock: Clock, rng: Random, limit_ms: int
    ) -> None:
        self._home = home
        self._owner = owner
        self._driver = driver
        self._ids = ids
        self._clock = clock
        self._rng = rng
        self._limit_ms = limit_ms
        self._under_way: dict[str, PendingCheckout] = {}
        self._retries = Background()
        self._admission = KeyedAdmission()
        self._capacity = CapacityLimiter(MOST_ATTEMPTS)

    async def run(self, subject: str, key: str = "") -> CheckoutEnd:
        """Return the end of the subject's checkout.

        `key` is the idempotency key of the request. Where several requests share a checkout, it has that of the first.
        """
        ended: asyncio.Future[CheckoutEnd] = asyncio.get_running_loop().create_future()
        new = subject not in self._under_way
        if new:
            self._under_way[subject] = PendingCheckout(subject, key, self._clock.now_us(), TimeLimit(self._limit_ms))
        checkout = self._under_way[subject]
        checkout.waiting.append(ended)
        if key:
            checkout.adopts.append(key)
        if new:
            self._begin(checkout)
        return await ended

    def _begin(self, checkout: PendingCheckout) -> None:
        """Make the first attempt by callbacks if there is capacity, else leave all of it to a task."""
        if not self._capacity.try_acquire():
            return self._retry_soon(checkout, None)
        if not self._ids.capacity.try_acquire():
            # The places for attempts are scarcer: this one must not be held while the checkout waits for the other kind.
            self._capacity.release()
            return self._retry_soon(checkout, None)

        def settle(outcome: Outcome | None) -> None:
            self._capacity.release()
            if _is_final(outcome):
                self._answer(checkout, outcome)
            else:
                self._retry_soon(checkout, outcome)

        return self._attempt(checkout, settle)

    def _answer(self, checkout: PendingCheckout, outcome: Outcome | None) -> None:
        ended = CheckoutEnd(outcome, checkout.txn)
        for waiting in self._under_way.pop(checkout.subject).waiting:
            if not waiting.done():  # a client that has left cancelled it
                waiting.set_result(ended)

    def _retry_soon(self, checkout: PendingCheckout, outcome: Outcome | None) -> None:
        def ended(task: asyncio.Task[Outcome | None]) -> None:
            # A task that failed may have begun a transaction that commits: its outcome is unknown. Its failure is reported by
            # `Background`; here it must not leave the clients waiting for ever.
            failed = task.cancelled() or task.exception() is not None
            self._answer(checkout, None if failed else task.result())

        task = self._retries.run(self._retry(checkout, outcome), "checkout retries")
        task.add_done_callback(ended)

    async def _retry(self, checkout: PendingCheckout, outcome: Outcome | None) -> Outcome | None:
        """Attempt until an outcome is final. `outcome` is the conflict of the attempt before; None if there was none."""
        backoff = Backoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, self._rng)
        lost_keys: set[str] = set()
        while True:
            if outcome is not None:
                if checkout.limit.left_ms < backoff.pause_ms + DECISION_MS:
                    return REFUSED_LATE
                key = _lost_key(outcome)
                if key and key not in lost_keys:
                    # The first loss of a key: its limiter makes this retry wait for its turn, so a pause would only be idle.
                    lost_keys.add(key)
                else:
                    await self._clock.sleep(backoff.next_ms())
            try:
                outcome = await self._attempt_in_turn(checkout, lost_keys)
            except TimeoutError:
                return REFUSED_LATE  # no attempt was begun
            if _is_final(outcome):
                return outcome

    async def _attempt_in_turn(self, checkout: PendingCheckout, lost_keys: set[str]) -> Outcome | None:
        """Wait for admission and capacity, then attempt. Raises `TimeoutError` if the limit ends before the attempt begins."""
        async with (
            asyncio.timeout(checkout.limit.left_ms / 1000) as waiting,
            self._admission.slot(lost_keys) as slot,
        ):
            await self._capacity.acquire()
            try:
                await self._ids.capacity.acquire()
                # From here on there is a transaction, which may still commit: a timeout would answer "refused" too early.
                waiting.reschedule(None)
                outcome: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
                self._attempt(checkout, outcome.set_result)
                slot.outcome = await outcome
            finally:
                self._capacity.release()
        return slot.outcome

    def _attempt(self, checkout: PendingCheckout, settle: Callable[[Outcome | None], None]) -> None:
        """Begin one transaction. `settle` is called once, with its outcome, or with None at the time limit."""
        checkout.txn, horizon = self._ids.begin()
        left_ms = checkout.limit.left_ms
        settled = False

        def settle_once(outcome: Outcome | None) -> None:
            nonlocal settled
            if not settled:
                settled = True
                timer.cancel()
                if outcome is not None and outcome.reason.code != "busy":
                    checkout.adopts.clear()  # it had begun
                settle(outcome)

        timer = self._clock.call_later(left_ms, lambda: settle_once(None))
        # The transaction aborts itself before the client's limit, so that a slow one still gets a certain answer.
        abort_after_ms = max(int(left_ms) - DECISION_MS, 1)
        request = Request(
            checkout.subject,
            self._home,
            self._owner,
            checkout.priority_us,
            horizon,
            abort_after_ms,
            checkout.key,
            tuple(checkout.adopts),
        )
        self._driver.start(checkout.txn, request, settle_once)


def _is_final(outcome: Outcome | None) -> bool:
    return outcome is None or outcome.decision is not Decision.CONFLICT


def _lost_key(outcome: Outcome) -> str:
    """Return the key whose lock another transaction holds, if that is the conflict."""
    return outcome.reason.key if outcome.reason.code == "locked" else ""
