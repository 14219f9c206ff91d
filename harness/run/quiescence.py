"""The end of a run: the wait for quiescence, and the reads of all objects that the history names."""

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
NAMED_PER_EVENT = 20
"""Unfinished transactions that a probe names, and bodies of dead letters that their event shows."""

READ_WITHIN_S = 45.0
DEAD_LETTERS_WITHIN_S = 5.0


def count(rows: Iterable[dict[str, Any]], protocol: Protocol) -> dict[str, int]:
    """Count the listed transactions by kind, for a probe. Raises `UsageError` naming a state without a kind."""
    kinds = Counter(kind for row in rows for kind in protocol.kinds_of(row["state"]))
    return {kind.value: kinds[kind] for kind in StateKind}


async def probe(recorder: Recorder, ask: Ask, protocol: Protocol) -> bool:
    """Record the unfinished transactions. Return whether there are none; False also if the shop cannot be read."""
    try:
        rows = await ask()
    except EnvironmentFailure:
        return False
    recorder.event("probe", **count(rows, protocol), unfinished=[_describe(row) for row in rows[:NAMED_PER_EVENT]])
    return not rows


def _describe(row: dict[str, Any]) -> str:
    """Return a text such as `a1b2.7 prepared in stock (item/5)`."""
    return f"{row.get('txn')} {row.get('state')} in {row.get('service')} ({row.get('subject')})"


async def watch(recorder: Recorder, ask: Ask, protocol: Protocol, every_s: float) -> None:
    """Probe every `every_s` seconds until cancelled, for live reports."""
    while True:
        await asyncio.sleep(every_s)
        await probe(recorder, ask, protocol)


async def await_quiescence(
    recorder: Recorder, ask: Ask, protocol: Protocol, drained: Coroutine[Any, Any, None], bound_s: float | None
) -> None:
    """Probe until no transaction is unfinished and no call under way, or until `AFTER_THE_BOUND_S` beyond the bound."""
    now = asyncio.get_running_loop().time
    deadline = now() + (WITHOUT_A_BOUND_S if bound_s is None else bound_s + AFTER_THE_BOUND_S)
    waiting = start_task(drained, "drained")
    while True:
        # Before the probe: a checkout that ends between probe and check may have left records that the probe did not see.
        drained_before = waiting.done()
        if (await probe(recorder, ask, protocol) and drained_before) or now() >= deadline:
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
        "dead-letters", planted=seen, others=len(others), seen=[str(body[:80]) for body in others[:NAMED_PER_EVENT]]
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


async def read_all(clients: ClientPool, reads: list[Call]) -> None:
    """Make all reads, and those with an unknown outcome up to `TRIES` times; checkers report the missing ones."""
    with suppress(TimeoutError):
        async with asyncio.timeout(READ_WITHIN_S):
            for _ in range(TRIES):
                operations = await clients.call_all(reads)
                reads = [
                    call for call, operation in zip(reads, operations, strict=True) if operation.outcome == "unknown"
                ]
                if not reads:
                    return
