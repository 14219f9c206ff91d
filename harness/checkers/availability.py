"""Availability: no request of a client fails, whatever fault happens.

A request fails without an answer in time, over a broken connection, with a 5xx, with an answer outside of the contract, or
with a 424, by which a service or the gateway says that another service could not be reached. A rejection (4xx) is an answer,
and so is a checkout that was accepted (202).

No protocol claims availability, and no server can have it alone: the connections of a client to a gateway that is killed
break, whatever the other nodes do. The property is one of a shop together with its clients, which have to send such a
request again with the same idempotency key. So a failed request violates it only in a run whose scenario requires
`availability`; in other runs it is observed and allowed.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from typing import Any

from harness.checkers.after_fault import service_after_fault
from harness.checkers.claims import REQUIRED, Exclusion
from harness.checkers.finding import Finding, Violation, conclude, explain_each, not_applicable
from harness.checkers.formatting import describe, seconds
from harness.checkers.rejections import ACCEPTED, UNREACHED
from harness.history import Event, History, Operation
from harness.history.latency import latency_ns

FAILED = "request-failed"

EXCLUDED_BY: dict[str, Exclusion] = {FAILED: REQUIRED}

_LATE = re.compile(r"time-?out|in time", re.IGNORECASE)


def check(history: History) -> Finding:
    """Return a violation for each failed request, with the worst latency of any and the service after the first fault."""
    if not history.operations:
        return not_applicable("no request was sent")
    after = service_after_fault(history)
    failed = history.derive(failed_requests)
    worst = max(history.operations, key=latency_ns)
    figures: dict[str, Any] = {
        "requests": len(history.operations),
        "failed": dict(Counter(map(kind_of_failure, failed))),
        "worst_ms": latency_ns(worst) / 1e6,
        **after.figures,
    }
    figures["words"] = "; ".join(filter(None, (_summary(history, figures, worst), after.figures.get("words"))))
    violations = explain_each(failed, lambda _: FAILED, lambda operation: _violation(history, operation))
    return conclude(violations, after.reasons, figures)


def failed_requests(history: History) -> Sequence[Operation]:
    """Return the failed requests in the order of their begin. Use `history.derive(failed_requests)`."""
    failed = [operation for operation in history.operations if kind_of_failure(operation)]
    return sorted(failed, key=lambda operation: operation.invoked_ns)


def kind_of_failure(operation: Operation) -> str:
    """Return how a request failed: `time-out`, `broken connection`, `malformed answer` or its status; "" if it did not."""
    status = operation.status
    if status == UNREACHED or (status is not None and status >= 500):
        return str(status)
    if operation.outcome != "unknown" or status == ACCEPTED:
        return ""
    if status is None:
        return "no status"  # an old history
    if not status:
        return "time-out" if _LATE.search(str(operation.value)) else "broken connection"
    return "malformed answer" if status < 300 else ""


def _summary(history: History, figures: dict[str, Any], worst: Operation) -> str:
    failed, kinds = sum(figures["failed"].values()), figures["failed"].items()
    which = f" ({', '.join(f'{count} {kind}' for kind, count in kinds)})" if failed else ""
    return (
        f"{failed or 'none'} of {figures['requests']} requests failed{which}; "
        f"worst latency {figures['worst_ms']:.0f} ms, of a {worst.op} at {seconds(history, worst.invoked_ns)}"
    )


def _violation(history: History, operation: Operation) -> Violation:
    return Violation(
        name=FAILED,
        explanation=f"at {seconds(history, operation.invoked_ns)}, after {latency_ns(operation) / 1e6:.0f} ms: "
        f"{kind_of_failure(operation)}, {describe(operation)}{_since_a_fault(history, operation)}",
        evidence=(operation,),
        keys=(f"order {operation.args[0]}",) if operation.op == "checkout" else (),
    )


def _since_a_fault(history: History, operation: Operation) -> str:
    """Return the fault that began last before the end of a request, with the time from the one to the other."""
    starts = history.derive(_fault_starts)
    before = bisect_right(starts, operation.completed_ns, key=lambda start: start.at_ns)
    if not before:
        return ", before any fault" if starts else ""
    start = starts[before - 1]
    since_s = (operation.completed_ns - start.at_ns) / 1e9
    return f", {since_s:.3f} s after the begin of {start.data.get('fault')} {start.data.get('target')}"


def _fault_starts(history: History) -> list[Event]:
    return history.of_kind("fault-start")
