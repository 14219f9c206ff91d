"""The trace of a node: one line for each event and effect of each transaction, from which `wdm` draws the spans.

    ~ 81234567890123 1f3a9c04d2be.17 send:prepare stock

The fields are the prefix, the machine's monotonic clock in nanoseconds (the same for all its processes and containers), the
transaction, the event or effect, and a detail.

The lines go to stderr, among the JSON lines of the log, because that is the one stream that the harness reads from every
runtime: of a container it gets nothing else. A log line begins with `{`, so the prefix tells the two apart, and a reader of
logs leaves out the lines with it. Lines are kept for one turn of the event loop: a process that is killed loses the last ones,
and their effects may have happened.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable

from protocols.core import Do, Done, Effect, Event, Persist, Received, Recovered, Reply, Send, Start, TimerFired
from protocols.store.tables import Result

Observer = Callable[[str, str, str], None]
"""Receives the transaction, the event or effect, and a detail of it."""

PREFIX = "~"
LONGEST_DETAIL = 120


def describe_event(event: Event) -> tuple[str, str]:
    """Return an event in words, and its detail: the sender, the result's code, or the subject."""
    match event:
        case Start(_, request):
            return "start", request.subject
        case Received(message, sender):
            return f"received:{type(message).__name__.lower()}", sender
        case Done(command, result):
            return f"done:{command.name}", result_code(result)
        case TimerFired(name):
            return f"timer:{name}", ""
        case Recovered():
            return "recovered", ""


def result_code(result: Result) -> str:
    """Return the first word of a command's result; empty if the result begins with no word."""
    return result[0] if result and isinstance(result[0], str) else ""


def describe_effect(effect: Effect) -> tuple[str, str] | None:
    """Return an effect in words, and its detail; None for an effect that no other node can see."""
    match effect:
        case Persist(command):
            return f"persist:{command.name}", ""
        case Do(command):
            return f"do:{command.name}", ""
        case Send(to, message):
            return f"send:{type(message).__name__.lower()}", to
        case Reply(outcome):
            return f"reply:{outcome.decision}", str(outcome.reason)
        case _:
            return None


class TraceWriter:
    """An observer that writes lines to `descriptor`. One of `every` transactions of a process is traced."""

    def __init__(self, every: int, descriptor: int | None = None) -> None:
        self._every = every
        self._descriptor = sys.stderr.fileno() if descriptor is None else descriptor
        self._lines: list[str] = []

    def __call__(self, txn: str, words: str, detail: str) -> None:
        if self._every > 1 and not self._is_chosen(txn):
            return
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        if "\n" in detail:
            detail = detail.replace("\n", " ")
        self._lines.append(f"{PREFIX} {time.monotonic_ns()} {txn} {words} {detail[:LONGEST_DETAIL]}\n")

    def _is_chosen(self, txn: str) -> bool:
        """Return whether the transaction is traced. Every participant chooses alike: the id alone decides."""
        sequence = txn.rpartition(".")[2]
        return sequence.isdigit() and int(sequence) % self._every == 0

    def _write(self) -> None:
        text, self._lines = "".join(self._lines), []
        os.write(self._descriptor, text.encode("utf-8", "replace"))
