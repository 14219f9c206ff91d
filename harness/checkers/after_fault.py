"""The service after the first fault, a part of `availability`: acknowledged requests, and the longest time without one.

A shop that serves no request any more has no invariant left to violate, so the verdict of a run is unknown if all
requests fail while every service is available.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from harness.checkers.formatting import seconds
from harness.checkers.impact import impacts
from harness.checkers.operations import balance_in, denies
from harness.checkers.rejections import completed_later, is_unanswered
from harness.checkers.shop_model import OrderModel, build_model
from harness.checkers.unavailability import Span, Unavailability
from harness.history import History, Operation
from protocols.shop.services import PREFIXES

TRIES = 3
"""Requests that have to fail while every service is available: fewer may be lost messages of single links."""

LEAST_S = 1.0
"""Time in seconds that is enough for an answer, where no bound is claimed."""


class ServiceAfterFault(NamedTuple):
    """The service after the first fault: `figures` for reports, and the `reasons` why it leaves the verdict unknown."""

    figures: dict[str, Any]
    reasons: tuple[str, ...]


class LoadAfterFault(NamedTuple):
    """The load from the first fault on. `available` are the spans in which every service was fully available."""

    span: Span
    available: list[Span]

    @property
    def available_ns(self) -> int:
        return sum(end - begin for begin, end in self.available)

    def begun(self, operations: Sequence[Operation]) -> list[Operation]:
        """Return the operations that began in this load."""
        return [operation for operation in operations if self.span[0] <= operation.invoked_ns < self.span[1]]

    def in_time(self, operations: Sequence[Operation]) -> list[Operation]:
        """Return the operations that began while every service was fully available."""
        return [
            operation
            for operation in operations
            if any(begin <= operation.invoked_ns < end for begin, end in self.available)
        ]


def service_after_fault(history: History) -> ServiceAfterFault:
    """Return the figures, and a reason for each kind of request that was never served again.

    Both are empty if no fault happened.
    """
    after = _after(history)
    if after is None:
        return ServiceAfterFault({}, ())
    kinds: dict[str, list[Operation]] = {}
    for operation in after.begun(history.operations):
        kinds.setdefault(operation.op, []).append(operation)
    served = {op: [operation for operation in tried if _is_served(history, operation)] for op, tried in kinds.items()}
    figures = _figures(history, after, kinds.get("checkout", []), served.get("checkout", []))
    figures["acknowledged"] = {op: sum(operation.outcome == "ok" for operation in tried) for op, tried in kinds.items()}
    figures["tried"] = {op: len(tried) for op, tried in kinds.items()}
    enough_ns = int((history.header.claims.recovery_s or LEAST_S) * 1e9)
    reasons = tuple(_never_served(history, after, kinds, served)) if after.available_ns >= enough_ns else ()
    return ServiceAfterFault(figures, reasons)


def _after(history: History) -> LoadAfterFault | None:
    """Return the load after the first fault; None if no fault happened before its end."""
    starts = history.of_kind("fault-start")
    happened = [
        start.at_ns for start, impact in zip(starts, history.derive(impacts), strict=True) if not impact.why_not
    ]
    over = next((at for at in map(history.phase_ns, ("heal", "final")) if at is not None), history.end_ns)
    if not happened or min(happened) >= over:
        return None
    load = (min(happened), over)
    unavailability = history.derive(Unavailability)
    available = [
        span
        for span in unavailability.parts(load)
        if all(unavailability.is_fully_available(service, span[0]) for service in PREFIXES)
    ]
    return LoadAfterFault(load, available)


def _never_served(
    history: History,
    after: LoadAfterFault,
    kinds: Mapping[str, Sequence[Operation]],
    served: Mapping[str, Sequence[Operation]],
) -> Iterator[str]:
    for op, tried in kinds.items():
        in_time = after.in_time([operation for operation in tried if op == "checkout" or is_unanswered(operation)])
        if not served[op] and len(in_time) >= TRIES:
            yield (
                f"no {op} was served any more after the first fault, at {seconds(history, after.span[0])}: {len(tried)} were "
                f"requested, {len(in_time)} of them while every service was available"
            )


def _is_served(history: History, operation: Operation) -> bool:
    """Whether an operation was acknowledged or rejected for its content. An accepted checkout counts once its order
    is paid.
    """
    if operation.outcome == "ok":
        return True
    if operation.op != "checkout":
        return not is_unanswered(operation)
    if operation.outcome == "unknown":
        return completed_later(history, operation)
    order = history.derive(build_model).orders.get(str(operation.args[0]))
    return denies(operation) or (order is not None and _lacks_funds_or_stock(history, order))


def _lacks_funds_or_stock(history: History, order: OrderModel) -> bool:
    """Whether the final credit or stock is too little for an order."""
    shop = history.derive(build_model)
    if order.items is None or order.total is None or order.user is None:
        return False
    needed = [(shop.account("item", item), quantity) for item, quantity in order.items.items()]
    needed.append((shop.account("user", order.user), order.total))
    final = [
        (None if account.final_read is None else balance_in(account.final_read), amount) for account, amount in needed
    ]
    return any(left is not None and left < amount for left, amount in final)


def _figures(
    history: History, after: LoadAfterFault, tried: Sequence[Operation], served: Sequence[Operation]
) -> dict[str, Any]:
    """Return figures of checkouts: the longest time without a served one, and the faults after which none was served."""
    began, over = after.span
    ends = sorted(checkout.completed_ns for checkout in served if checkout.completed_ns < over)
    longest = max(pairwise([began, *ends, over]), key=lambda gap: gap[1] - gap[0])
    last_served_ns = max((checkout.invoked_ns for checkout in served), default=-1)
    last_tried_ns = max((checkout.invoked_ns for checkout in tried), default=-1)
    starts = history.of_kind("fault-start")
    never = [
        f"{impact.fault} of {impact.target} at {impact.from_s:.3f} s"
        for start, impact in zip(starts, history.derive(impacts), strict=True)
        if not impact.why_not and last_served_ns < start.at_ns <= last_tried_ns
    ]
    return {
        "first_fault_s": (began - history.start_ns) / 1e9,
        "longest_without_s": (longest[1] - longest[0]) / 1e9,
        "longest_from_s": (longest[0] - history.start_ns) / 1e9,
        "all_there_s": after.available_ns / 1e9,
        "never_again": never,
        "asked": len(tried),
        "succeeded": sum(checkout.outcome != "fail" for checkout in served),
        "words": _summary(history, tried, served, longest, never),
    }


def _summary(
    history: History, tried: Sequence[Operation], served: Sequence[Operation], longest: Span, never: Sequence[str]
) -> str:
    if not tried:
        return "no checkout was requested after the first fault"
    done = sum(checkout.outcome != "fail" for checkout in served)
    text = f"{done or 'none'} of {len(tried)} checkouts begun after the first fault succeeded"
    if len(served) > done:
        text += f", {len(served) - done} were rejected for their content"
    text += (
        f"; longest time without an answer {(longest[1] - longest[0]) / 1e9:.2f} s, from {seconds(history, longest[0])}"
    )
    if never:
        text += f"; none again after {len(never)} faults, the first {never[0]}"
    return text
