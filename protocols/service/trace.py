"""What a node does for each transaction, for whoever draws it afterwards: a line each, beside what the node says.

    ~ 81234567890123 1f3a9c04d2be.17 send:prepare stock

The time is the machine's monotonic clock in nanoseconds, the same for all its processes and containers. Lines are kept for one
turn of the event loop: a process that is killed loses the last of them, and what they tell of may have happened.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable

from protocols.core import Do, Done, Effect, Event, Persist, Received, Recovered, Reply, Send, Start, TimerFired
from protocols.ports import Result

Observer = Callable[[str, str, str], None]
"""Hears the transaction, what happened, and a detail of it."""

MARK = "~"
LONGEST = 120


def describe_event(event: Event) -> tuple[str, str]:
    """An event in words, and its detail: whom it came from, what came of it, what it is about."""
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
    """What a command came to, where it is a word; most answer with one first."""
    return result[0] if result and isinstance(result[0], str) else ""


def describe_effect(effect: Effect) -> tuple[str, str] | None:
    """An effect in words, and its detail; None for one that nobody outside can see."""
    match effect:
        case Persist(command):
            return f"persist:{command.name}", ""
        case Do(command):
            return f"do:{command.name}", ""
        case Send(to, message):
            return f"send:{type(message).__name__.lower()}", to
        case Reply(outcome):
            return f"reply:{outcome.verdict}", outcome.why
        case _:
            return None


class Trace:
    """An observer that writes to ``descriptor``. ``every``: of so many transactions of a process one is traced."""

    def __init__(self, every: int, descriptor: int | None = None) -> None:
        self._every = every
        self._descriptor = sys.stderr.fileno() if descriptor is None else descriptor
        self._lines: list[str] = []

    def __call__(self, txn: str, what: str, detail: str) -> None:
        if self._every > 1 and not self._chosen(txn):
            return
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        if "\n" in detail:
            detail = detail.replace("\n", " ")
        self._lines.append(f"{MARK} {time.monotonic_ns()} {txn} {what} {detail[:LONGEST]}\n")

    def _chosen(self, txn: str) -> bool:
        """The same for every node that takes part: it depends on the id alone."""
        sequence = txn.rpartition(".")[2]
        return sequence.isdigit() and int(sequence) % self._every == 0

    def _write(self) -> None:
        text, self._lines = "".join(self._lines), []
        os.write(self._descriptor, text.encode("utf-8", "replace"))
