"""The latency of one operation."""

from harness.history.format import Operation


def latency_ns(operation: Operation) -> int:
    """Return the nanoseconds from the due time of an operation, or else from its start, to its answer.

    Counting from the due time is what avoids coordinated omission (Tene, "How NOT to measure latency").
    """
    began_ns = operation.invoked_ns if operation.due_ns is None else operation.due_ns
    return max(0, operation.completed_ns - began_ns)


def latency_us(operation: Operation) -> int:
    """Return the latency in whole microseconds."""
    return latency_ns(operation) // 1000
