"""A history told to a person: operations as sentences, in time order."""

from collections.abc import Iterable
from typing import Any

from harness.history import History, Operation

LINES = 30
"""Steps that one explanation tells; the evidence holds them all."""


def seconds(history: History, at_ns: int) -> str:
    """A time of the history, in seconds since its start: `1.204 s`."""
    return f"{(at_ns - history.start_ns) / 1e9:.3f} s"


def in_order(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Each operation once, in the order in which they began."""
    unique = {id(operation): operation for operation in operations}
    return tuple(sorted(unique.values(), key=lambda operation: operation.invoked_ns))


def describe(operation: Operation) -> str:
    """`checkout 5 by process 3: ok`."""
    call = " ".join([operation.op, *map(str, operation.args)])
    answer = "" if operation.value is None else f" {_short(operation.value)}"
    return f"{call} by process {operation.process}: {operation.outcome}{answer}"


def narrate(history: History, operations: Iterable[Operation]) -> str:
    """One numbered line an operation: when it began, how long it took, what it was and how it ended."""
    steps = in_order(operations)
    lines = [
        f"  {number}. {seconds(history, step.invoked_ns)} "
        f"(+{(step.completed_ns - step.invoked_ns) / 1e6:.1f} ms) {describe(step)}"
        for number, step in enumerate(steps[:LINES], 1)
    ]
    if len(steps) > LINES:
        lines.append(f"  ... and {len(steps) - LINES} more")
    return "\n".join(lines)


def some(names: Iterable[str], most: int = 5) -> str:
    """`a, b, c, d, e and 12 more`."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
