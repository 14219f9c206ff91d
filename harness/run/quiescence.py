"""The end of a run: the wait for quiescence, and the reads of all objects that the history names."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any

from harness.errors import EnvironmentFailure
from harness.history import Event, Operation
from harness.history.recorder import Recorder
from harness.run.load import ClientPool
from harness.run.prober import Prober
from harness.workload.base import Call, call
from protocols.service.links import poison
from protocols.service.tasks import start_task

PROBE_EVERY_S = 0.1
AFTER_THE_BOUND_S = 3.0
WITHOUT_A_BOUND_S = 10.0
LATE_BEGINS_S = 30.0
TRIES = 3
SHOWN_DEAD_LETTERS = 20
"""The most bodies of dead letters that their event shows."""

READ_WITHIN_S = 45.0
DEAD_LETTERS_WITHIN_S = 5.0


async def await_quiescence(prober: Prober, drained: Coroutine[Any, Any, None], bound_s: float | None) -> None:
    """Probe until no transaction is unfinished and no call under way, or until all that are left are overdue.

    Transactions are overdue at the bound after their begin; the probes last `AFTER_THE_BOUND_S` longer. Those that begin later
    than `LATE_BEGINS_S` from now get no further time: a shop that begins transactions for ever would never end its run.
    """
    now = asyncio.get_running_loop().time
    patience_s = WITHOUT_A_BOUND_S if bound_s is None else bound_s + AFTER_THE_BOUND_S
    begun = now()
    waiting = start_task(drained, "drained")
    while True:
        # Before the probe: a checkout that ends between probe and check may have left records that the probe did not see.
        drained_before = waiting.done()
        if await prober.probe():
            if drained_before:
                break
        elif now() >= min(max(prober.latest_begin, begun), begun + LATE_BEGINS_S) + patience_s:
            break
        await asyncio.sleep(PROBE_EVERY_S)
    await waiting


async def record_dead_letters(
    recorder: Recorder, dead_letters: Callable[[], Awaitable[Sequence[bytes]]], planted: Sequence[str]
) -> None:
    """Record the dead letters of the broker, once all injected messages are there, or after `DEAD_LETTERS_WITHIN_S`.

    `planted` are the names of the injected messages.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + DEAD_LETTERS_WITHIN_S
    while True:
        try:
            bodies = await dead_letters()
        except EnvironmentFailure as failure:
            recorder.event("dead-letters", unknown=str(failure))
            return
        names = {body: poison.injected_name(body) for body in bodies}
        seen = sorted({name for name in names.values() if name is not None})
        if all(any(name.endswith(suffix) for name in seen) for suffix in planted) or now() >= deadline:
            break
        await asyncio.sleep(PROBE_EVERY_S)
    others = [body for body in bodies if names[body] is None]
    recorder.event(
        "dead-letters", planted=seen, others=len(others), seen=[str(body[:80]) for body in others[:SHOWN_DEAD_LETTERS]]
    )


class Names:
    """A listener that collects all users, items and orders that a history names, in the order of their first appearance.

    `untouched`: also the orders of `init_orders` that no later operation names.
    """

    def __init__(self, *, untouched: bool = True) -> None:
        self._untouched = untouched
        self._seen: dict[Call, None] = {}

    def __call__(self, record: Operation | Event) -> None:
        if isinstance(record, Operation) and (self._untouched or record.op != "init_orders"):
            for read in _names(record):
                self._seen.setdefault(read)

    def reads(self) -> list[Call]:
        """Return the reads for the end of a run, orders first: the amounts of an order that is read as paid must be gone then."""
        return sorted(self._seen, key=lambda read: read.op != "find_order")


def _names(operation: Operation) -> Iterable[Call]:
    args = operation.args
    match operation.op:
        case "create_user" | "create_item" | "create_order" if operation.outcome == "ok":
            yield call(f"find_{operation.op.removeprefix('create_')}", str(operation.value))
        case "init_users" | "init_items" | "init_orders":
            kind = operation.op.removeprefix("init_").removesuffix("s")
            for number in range(int(args[0])):
                yield call(f"find_{kind}", str(number))
        case "add_funds" | "pay" | "find_user":
            yield call("find_user", str(args[0]))
        case "add_stock" | "subtract_stock" | "find_item":
            yield call("find_item", str(args[0]))
        case "checkout" | "find_order" | "add_item":
            yield call("find_order", str(args[0]))


async def read_all(clients: ClientPool, reads: list[Call]) -> list[Operation]:
    """Make all reads, and those with an unknown outcome up to `TRIES` times; checkers report the missing ones.

    Returns every read.
    """
    made: list[Operation] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(READ_WITHIN_S):
            for _ in range(TRIES):
                operations = await clients.call_all(reads)
                made += operations
                reads = [
                    call for call, operation in zip(reads, operations, strict=True) if operation.outcome == "unknown"
                ]
                if not reads:
                    break
    return made
