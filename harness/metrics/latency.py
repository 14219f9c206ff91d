"""The latency of one operation."""

from harness.history import Operation


def latency_us(operation: Operation) -> int:
    """Return the microseconds from the due time of an operation, or else from its start, to its answer.

    Counting from the due time is what avoids coordinated omission (Tene, "How NOT to measure latency").
    """
    began_ns = operation.invoked_ns if operation.due_ns is None else operation.due_ns
    return max(0, operation.completed_ns - began_ns) // 1000
