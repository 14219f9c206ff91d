"""From a client's request to transactions: ids, ages, and another attempt after a conflict, until there is an outcome."""

import asyncio
from collections.abc import Callable, Iterable
from random import Random

from protocols.core import Outcome, Request, Verdict
from protocols.lives import FIRST, Point, horizon, prefix_of
from protocols.ports import Clock, TimeLimit
from protocols.service.capacity_limiter import CapacityLimiter
from protocols.service.driver import Driver
from protocols.service.keyed_admission import KeyedAdmission
from protocols.service.tasks import Background

FIRST_PAUSE_MS = 2.0
LONGEST_PAUSE_MS = 100.0
AT_ONCE = 64  # more at a time meet each other's locks more often, until all they do is try again
UNENDED = (
    1_000  # transactions, also those whose client has its answer: what waits for a service that is down is bounded
)
DECISION_MS = 500  # kept free at the end of the time limit, so that a decision still reaches the client

REFUSED_LATE = Outcome(Verdict.REFUSED, "timeout")


class TransactionIds:
    """Names of this process's transactions, ``INSTANCE~LIFE.SEQUENCE`` (``protocols.lives``). No name is given twice, not even
    after a crash.

    Take from ``room`` before you begin; the end gives it back. It is empty until the process has the number of its life.
    """

    def __init__(self, instance: str) -> None:
        self.room = CapacityLimiter(0)
        self.instance = instance
        self.life = 0
        self._next = 0
        self._running: dict[int, None] = {}  # in ascending order, as they were begun
        self._unfinished: list[str] | None = None  # of former lives; None until the store was asked

    def enlist(self, life: int) -> None:
        """The life's number has come from the store, perhaps once more."""
        if not self.life:
            self.life = life
            self.room.widen(UNENDED)

    def found(self, unfinished: Iterable[str]) -> None:
        """All that the store knew as unfinished, in answer to a question asked after ``enlist``."""
        own = f"{prefix_of(self.instance, self.life)}."
        self._unfinished = [txn for txn in unfinished if not txn.startswith(own)]

    def begin(self) -> tuple[str, Point]:
        """A new name, and the horizon below which all transactions of this instance have ended."""
        sequence = self._next
        self._next += 1
        self._running[sequence] = None
        txn = f"{prefix_of(self.instance, self.life)}.{sequence}"
        if self._unfinished is None:
            return txn, FIRST
        return txn, horizon(self.instance, self.life, next(iter(self._running)), self._unfinished)

    def end(self, txn: str) -> None:
        """Somebody else's transactions, recovered here, are none of ours."""
        prefix, _, sequence = txn.rpartition(".")
        if prefix == prefix_of(self.instance, self.life) and int(sequence) in self._running:
            del self._running[int(sequence)]
            self.room.leave()


class CheckoutRetrier:
    """Runs a subject's transactions one at a time; who asks for the same subject meanwhile hears the same outcome."""

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
        self._waiting: dict[str, list[asyncio.Future[Outcome | None]]] = {}
        self._repeats = Background()
        self._turnstiles = KeyedAdmission()
        self._room = CapacityLimiter(AT_ONCE)

    async def run(self, subject: str) -> Outcome | None:
        """The outcome, or None if it is not known when the time limit is reached."""
        heard: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(subject)
        if waiting is None:
            self._waiting[subject] = [heard]
            self._begin(subject)
        else:
            waiting.append(heard)
        return await heard

    def _begin(self, subject: str) -> None:
        """The first attempt, at once if there is room: most need no second, and so no task."""
        age, limit = self._clock.now_us(), TimeLimit(self._limit_ms)
        if not self._room.enter_at_once():
            return self._repeat_soon(subject, age, limit, None)
        if not self._ids.room.enter_at_once():
            self._room.leave()
            return self._repeat_soon(subject, age, limit, None)

        def then(outcome: Outcome | None) -> None:
            self._room.leave()
            if _is_final(outcome):
                self._tell(subject, outcome)
            else:
                self._repeat_soon(subject, age, limit, outcome)

        return self._attempt(subject, age, limit, then)

    def _tell(self, subject: str, outcome: Outcome | None) -> None:
        for heard in self._waiting.pop(subject):
            if not heard.done():
                heard.set_result(outcome)

    def _repeat_soon(self, subject: str, age: int, limit: TimeLimit, outcome: Outcome | None) -> None:
        def ended(task: asyncio.Task[Outcome | None]) -> None:
            # One that failed may have committed: what it came to is not known, and the failure itself is reported.
            failed = task.cancelled() or task.exception() is not None
            self._tell(subject, None if failed else task.result())

        task = self._repeats.run(self._repeat(subject, age, limit, outcome), "attempts")
        task.add_done_callback(ended)

    async def _repeat(self, subject: str, age: int, limit: TimeLimit, outcome: Outcome | None) -> Outcome | None:
        """Again after the conflict ``outcome``, or for the first time if there has been none."""
        pause = FIRST_PAUSE_MS
        lost: set[str] = set()
        while True:
            if outcome is not None:
                if limit.left_ms < pause + DECISION_MS:
                    return REFUSED_LATE
                key = _lost(outcome)
                if key and key not in lost:
                    lost.add(key)
                else:
                    await self._clock.sleep(pause * (0.5 + self._rng.random()))
                    pause = min(2 * pause, LONGEST_PAUSE_MS)
            try:
                outcome = await self._in_turn(subject, age, limit, lost)
            except TimeoutError:
                return REFUSED_LATE  # still waiting for its turn
            if _is_final(outcome):
                return outcome

    async def _in_turn(self, subject: str, age: int, limit: TimeLimit, lost: set[str]) -> Outcome | None:
        """An attempt as soon as it may be made. Raises ``TimeoutError`` if that is too late."""
        async with (
            asyncio.timeout(limit.left_ms / 1000) as waiting,
            self._turnstiles.through(lost) as passage,
        ):
            await self._room.enter()
            try:
                await self._ids.room.enter()
                # Only the waiting is refused: a transaction may commit after we have stopped listening.
                waiting.reschedule(None)
                heard: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()
                self._attempt(subject, age, limit, heard.set_result)
                passage.outcome = await heard
            finally:
                self._room.leave()
        return passage.outcome

    def _attempt(self, subject: str, age: int, limit: TimeLimit, then: Callable[[Outcome | None], None]) -> None:
        """``then`` hears the outcome, or None when the time limit is reached, once."""
        txn, ended = self._ids.begin()
        left_ms = limit.left_ms
        told = False

        def settle(outcome: Outcome | None) -> None:
            nonlocal told
            if not told:
                told = True
                late.cancel()
                then(outcome)

        late = self._clock.call_later(left_ms, lambda: settle(None))
        give_up_ms = max(int(left_ms) - DECISION_MS, 1)
        self._driver.start(txn, Request(subject, self._home, self._owner, age, ended, give_up_ms), settle)


def _is_final(outcome: Outcome | None) -> bool:
    return outcome is None or outcome.verdict is not Verdict.CONFLICT


def _lost(outcome: Outcome) -> str:
    """The key whose lock somebody else holds, if that was the conflict: ``locked:KEY:HOLDER``."""
    code, _, what = outcome.why.partition(":")
    return what.rpartition(":")[0] if code == "locked" else ""
