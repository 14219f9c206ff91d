"""The wait until a shop is consistent after the load, with reads that are no part of the history.

A read during the wait is no final read, and an inconsistent one is no violation yet: a shop may finish its transactions after
the answer. The time that it took is part of the grade sheet.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from harness.history import Event, Header, History, MemoryRecorder, Operation, RecordedClaims
from harness.history.recorder import Recorder
from harness.run.load import ClientPool
from harness.workload.base import Call
from harness.workload.client import Caller

AGAIN_S = 0.5
SETTLED = "settled"
"""The event with `after_s`, the seconds until the shop was consistent, or None, and with `left`, the names of the violations."""


def last_settled(history: History) -> Event | None:
    """Return the last `SETTLED` event of a history: a round settles again where its final reads were inconsistent."""
    events = history.of_kind(SETTLED)
    return events[-1] if events else None


Judge = Callable[[Sequence[Operation]], list[str]]
"""A function from reads to the names of the violations that they show."""


async def settle(
    recorder: Recorder,
    reader: Caller,
    inconsistent: Judge,
    reads: Callable[[], list[Call]],
    *,
    begin_s: float,
    limit_s: float,
    steady_s: float,
) -> list[str]:
    """Read until nothing is inconsistent, at most `limit_s` seconds from `begin_s`, a time of the loop, and at least once.

    Records `SETTLED` and returns what is left. The answers also have to be the same for `steady_s` seconds: a shop without a
    certain answer may still be at work.
    """
    now = asyncio.get_running_loop().time
    before: list[Any] | None = None
    same_since = now()
    while True:
        operations = await _read(reader, recorder, reads())
        left = [*_unread(operations), *inconsistent(operations)]
        answers = [operation.value for operation in operations]
        same_since = same_since if before == answers else now()
        if not left and now() - same_since >= steady_s:
            break
        if now() - begin_s + AGAIN_S >= limit_s:
            break
        before = answers
        await asyncio.sleep(AGAIN_S)
    recorder.event(
        SETTLED, after_s=None if left else round(now() - begin_s, 3), within_s=limit_s, left=sorted(set(left))
    )
    return left


async def _read(reader: Caller, recorder: Recorder, calls: list[Call]) -> list[Operation]:
    """Make the reads once, into a history of their own on the same clock."""
    header = Header(
        protocol="", claims=RecordedClaims(atomicity="none", isolation="none", durability=""), scenario="", workload="",
        durability="", runtime="", seed=0,
    )  # fmt: skip
    return await ClientPool(reader, MemoryRecorder(header, recorder.now_ns)).call_all(calls)


def _unread(operations: Sequence[Operation]) -> list[str]:
    return ["unreadable" for operation in operations if operation.outcome == "unknown"][:1]
