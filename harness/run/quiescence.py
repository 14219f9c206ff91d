"""The end of a run: wait until the shop has come to rest, then read everything that the history names."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any

from harness.errors import EnvironmentFailure
from harness.history import Event, Operation
from harness.history.recorder import Recorder
from harness.run.load import ClientPool
from harness.runtimes.environment import Ask
from harness.workload.base import Call, call
from protocols.core import Protocol, StateKind
from protocols.service.links import poison
from protocols.service.tasks import start_task

PROBE_EVERY_S = 0.1
AFTER_THE_BOUND_S = 3.0
WITHOUT_A_BOUND_S = 10.0
TRIES = 3
TOLD = 20
"""Unfinished transactions that a probe names."""
READ_WITHIN_S = 45.0
DEAD_LETTERS_WITHIN_S = 5.0


def count(rows: Iterable[dict[str, Any]], protocol: Protocol) -> dict[str, int]:
    """Count the listed transactions by kind, as a probe records it. Raises `UsageError` naming a state without a kind."""
    kinds = Counter(kind for row in rows for kind in protocol.kinds_of(row["state"]))
    return {kind.value: kinds[kind] for kind in StateKind}


async def probe(recorder: Recorder, ask: Ask, protocol: Protocol) -> bool:
    """Look into the shop and record what is unfinished. False if something is, or the shop could not be asked."""
    try:
        rows = await ask()
    except EnvironmentFailure:
        return False
    recorder.event("probe", **count(rows, protocol), unfinished=[_told(row) for row in rows[:TOLD]])
    return not rows


def _told(row: dict[str, Any]) -> str:
    """`a1b2.7 prepared in stock`, for whoever looks for the reason."""
    return f"{row.get('txn')} {row.get('state')} in {row.get('service')} ({row.get('subject')})"


async def watch(recorder: Recorder, ask: Ask, protocol: Protocol, every_s: float) -> None:
    """Probe until cancelled: for those who look on."""
    while True:
        await asyncio.sleep(every_s)
        await probe(recorder, ask, protocol)


async def await_quiescence(
    recorder: Recorder, ask: Ask, protocol: Protocol, drained: Coroutine[Any, Any, None], bound_s: float | None
) -> None:
    """Probe until nothing is unfinished and every client has heard, but not long beyond the bound."""
    now = asyncio.get_running_loop().time
    deadline = now() + (WITHOUT_A_BOUND_S if bound_s is None else bound_s + AFTER_THE_BOUND_S)
    waiting = start_task(drained, "drained")
    while True:
        drained_before = waiting.done()  # a look at a shop that still works says nothing of the last checkout
        if (await probe(recorder, ask, protocol) and drained_before) or now() >= deadline:
            break
        await asyncio.sleep(PROBE_EVERY_S)
    await waiting


async def record_dead_letters(
    recorder: Recorder, dead_letters: Callable[[], Awaitable[Sequence[bytes]]], planted: Sequence[str]
) -> None:
    """Record what the broker keeps aside, once all that was planted is there, by its names, or some seconds later."""
    now = asyncio.get_running_loop().time
    deadline = now() + DEAD_LETTERS_WITHIN_S
    while True:
        try:
            found = await dead_letters()
        except EnvironmentFailure as failure:
            recorder.event("dead-letters", unknown=str(failure))
            return
        names = {body: poison.injected_name(body) for body in found}
        seen = sorted({name for name in names.values() if name is not None})
        if all(any(name.endswith(one) for name in seen) for one in planted) or now() >= deadline:
            break
        await asyncio.sleep(PROBE_EVERY_S)
    others = [body for body in found if names[body] is None]
    recorder.event("dead-letters", planted=seen, others=len(others), seen=[str(body[:80]) for body in others[:TOLD]])


class Names:
    """Every user, item and order that the history names, in the order of their first appearance. A reader of its lines.

    `untouched`: also the orders that were made many at once and never named again.
    """

    def __init__(self, *, untouched: bool = True) -> None:
        self._untouched = untouched
        self._seen: dict[Call, None] = {}

    def __call__(self, record: Operation | Event) -> None:
        if isinstance(record, Operation) and (self._untouched or record.op != "init_orders"):
            for read in _names(record):
                self._seen.setdefault(read)

    def reads(self) -> list[Call]:
        """What to read at the end. Users and items last: an order found paid is one whose amounts are known to be gone."""
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


async def read_all(clients: ClientPool, reads: list[Call]) -> None:
    """Read everything, again what was not answered; what then is missing, the checkers miss."""
    with suppress(TimeoutError):
        async with asyncio.timeout(READ_WITHIN_S):
            for _ in range(TRIES):
                found = await clients.all_of(reads)
                reads = [asked for asked, heard in zip(reads, found, strict=True) if heard.outcome == "unknown"]
                if not reads:
                    return
