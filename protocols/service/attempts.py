"""From a client's request to transactions: ids, ages, and another attempt after a conflict, until there is an outcome."""

import asyncio
from random import Random

from protocols.core import Outcome, Request, Verdict
from protocols.ports import Clock
from protocols.service.driver import Driver
from protocols.service.turnstiles import Turnstiles

FIRST_PAUSE_MS = 2.0
LONGEST_PAUSE_MS = 100.0
AT_ONCE = 64  # more at a time meet each other's locks more often, until all they do is try again
UNENDED = (
    1_000  # transactions, including those whose client has its answer: what waits for a service that is down is bounded
)
DECISION_MS = 500  # kept free at the end of the time limit, so that a decision still reaches the client

REFUSED_LATE = Outcome(Verdict.REFUSED, "timeout")


class TxnIds:
    """Ids ``prefix.sequence``. The prefix is this process's own, so an id is never given twice, not even after a crash.

    Take from ``room`` before you begin; the end gives it back.
    """

    def __init__(self, prefix: str) -> None:
        self.room = asyncio.Semaphore(UNENDED)
        self._prefix = prefix
        self._next = 0
        self._running: dict[int, None] = {}  # in ascending order, as they were begun

    def begin(self) -> tuple[str, int]:
        """A new id, and the horizon: all with this prefix and a smaller sequence number have ended."""
        sequence = self._next
        self._next += 1
        self._running[sequence] = None
        return f"{self._prefix}.{sequence}", next(iter(self._running))

    def end(self, txn: str) -> None:
        """Somebody else's transactions, recovered here, are none of ours."""
        prefix, _, sequence = txn.rpartition(".")
        if prefix == self._prefix and int(sequence) in self._running:
            del self._running[int(sequence)]
            self.room.release()


class Attempts:
    """Runs a subject's transactions one at a time; who asks for the same subject meanwhile hears the same outcome."""

    def __init__(
        self, home: str, owner: str, driver: Driver, ids: TxnIds, clock: Clock, rng: Random, limit_ms: int
    ) -> None:
        self._home = home
        self._owner = owner
        self._driver = driver
        self._ids = ids
        self._clock = clock
        self._rng = rng
        self._limit_ms = limit_ms
        self._running: dict[str, asyncio.Task[Outcome | None]] = {}
        self._turnstiles = Turnstiles()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def run(self, subject: str) -> Outcome | None:
        """The outcome, or None if it is not known when the time limit is reached."""
        task = self._running.get(subject)
        if task is None:
            task = self._running[subject] = asyncio.ensure_future(self._repeat(subject))
            task.add_done_callback(lambda _: self._running.pop(subject, None))
        return await asyncio.shield(task)

    async def _repeat(self, subject: str) -> Outcome | None:
        age = self._clock.now_us()
        pause = FIRST_PAUSE_MS
        lost: set[str] = set()
        while True:
            try:
                async with (
                    asyncio.timeout(self._left_ms(age) / 1000) as limit,
                    self._turnstiles.through(lost) as passage,
                    self._room,
                ):
                    await self._ids.room.acquire()
                    # Only the waiting is refused: a transaction may commit after we have stopped listening.
                    limit.reschedule(None)
                    outcome = passage.outcome = await self._attempt(subject, age)
            except TimeoutError:
                return REFUSED_LATE  # still waiting for its turn
            if outcome is None or outcome.verdict is not Verdict.CONFLICT:
                return outcome
            if self._left_ms(age) < pause + DECISION_MS:
                return REFUSED_LATE
            code, _, what = outcome.why.partition(":")
            key = what.rpartition(":")[0] if code == "locked" else ""
            if key and key not in lost:
                lost.add(key)
                continue
            await self._clock.sleep(pause * (0.5 + self._rng.random()))
            pause = min(2 * pause, LONGEST_PAUSE_MS)

    def _left_ms(self, age: int) -> float:
        return self._limit_ms - (self._clock.now_us() - age) / 1000

    async def _attempt(self, subject: str, age: int) -> Outcome | None:
        txn, horizon = self._ids.begin()
        heard: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

        def settle(outcome: Outcome | None) -> None:
            if not heard.done():
                heard.set_result(outcome)

        left_ms = self._left_ms(age)
        limit = self._clock.call_later(left_ms, lambda: settle(None))
        give_up_ms = max(int(left_ms) - DECISION_MS, 1)
        self._driver.start(txn, Request(subject, self._home, self._owner, age, horizon, give_up_ms), settle)
        try:
            return await heard
        finally:
            limit.cancel()
