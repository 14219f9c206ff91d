"""Operations of a history as text, in time order."""

from collections.abc import Iterable
from typing import Any

from harness.history import History, Operation

LINES = 30
"""Operations in one explanation; the evidence has all of them."""


def seconds(history: History, at_ns: int) -> str:
    """Return a time of the history in seconds since its start: `1.204 s`."""
    return f"{(at_ns - history.start_ns) / 1e9:.3f} s"


def in_order(operations: Iterable[Operation]) -> tuple[Operation, ...]:
    """Return each operation once, in the order of their begin."""
    unique = {id(operation): operation for operation in operations}
    return tuple(sorted(unique.values(), key=lambda operation: operation.invoked_ns))


def describe(operation: Operation) -> str:
    """Return an operation as `checkout 5 by process 3: ok`."""
    call = " ".join([operation.op, *map(str, operation.args)])
    answer = "" if operation.value is None else f" {_short(operation.value)}"
    return f"{call} by process {operation.process}: {operation.outcome}{answer}"


def list_operations(history: History, operations: Iterable[Operation]) -> str:
    """Return one numbered line for each operation: its begin, its duration, the request and the outcome."""
    steps = in_order(operations)
    lines = [
        f"  {number}. {seconds(history, step.invoked_ns)} "
        f"(+{(step.completed_ns - step.invoked_ns) / 1e6:.1f} ms) {describe(step)}"
        for number, step in enumerate(steps[:LINES], 1)
    ]
    if len(steps) > LINES:
        lines.append(f"  ... and {len(steps) - LINES} more")
    return "\n".join(lines)


def abbreviate(names: Iterable[str], most: int = 5) -> str:
    """Return names as `a, b, c, d, e and 12 more`."""
    listed = list(names)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
