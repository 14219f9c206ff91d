"""Who was served once something had broken: what was acknowledged after the first fault, and for how long nothing was.

Nobody promises that a shop serves while its nodes are away. But a shop that serves nobody any more has nothing else to break
either, so a run in which the clients asked in vain while nothing was in their way proves nothing: it is unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from harness.checkers.claims import Promise
from harness.checkers.finding import Finding, conclude, nothing_to_judge
from harness.checkers.formatting import seconds
from harness.checkers.impact import impacts
from harness.checkers.rejections import completed_later, is_unanswered
from harness.checkers.shop_model import OrderModel, balance, build_model, denies
from harness.checkers.unavailability import Span, Unavailability
from harness.history import History, Operation
from protocols.shop.routes import PREFIXES

PROMISES: dict[str, Promise] = {}

TRIES = 3
"""So many that asked in vain while nothing was in their way are no accident: a link may lose a message by itself."""

LEAST_S = 1.0
"""Such a time is long enough for an answer, where no bound is claimed."""


class After(NamedTuple):
    """The load from the first fault on. `able` are the parts of it in which every service was whole."""

    span: Span
    able: list[Span]

    @property
    def able_ns(self) -> int:
        return sum(end - begin for begin, end in self.able)

    def begun(self, operations: Sequence[Operation]) -> list[Operation]:
        """Those that began in it."""
        return [each for each in operations if self.span[0] <= each.invoked_ns < self.span[1]]

    def in_time(self, operations: Sequence[Operation]) -> list[Operation]:
        """Those that began while nothing was in their way."""
        return [each for each in operations if any(begin <= each.invoked_ns < end for begin, end in self.able)]


def check(history: History) -> Finding:
    """Unknown if nobody was served any more though the clients tried; else a line of figures and words."""
    after = _after(history)
    if after is None:
        return nothing_to_judge("no fault happened")
    kinds: dict[str, list[Operation]] = {}
    for operation in after.begun(history.operations):
        kinds.setdefault(operation.op, []).append(operation)
    served = {op: [each for each in tried if _is_served(history, each)] for op, tried in kinds.items()}
    figures = _figures(history, after, kinds.get("checkout", []), served.get("checkout", []))
    figures["acknowledged"] = {op: sum(each.outcome == "ok" for each in tried) for op, tried in kinds.items()}
    figures["tried"] = {op: len(tried) for op, tried in kinds.items()}
    enough_ns = int((history.header.claims.recovery_s or LEAST_S) * 1e9)
    reasons = []
    if after.able_ns >= enough_ns:
        reasons = list(_in_vain(history, after, kinds, served))
    return conclude((), reasons, figures)


def _after(history: History) -> After | None:
    """None if no fault happened, or only when the load was over."""
    starts = history.of_kind("fault-start")
    happened = [start.at_ns for start, each in zip(starts, history.derive(impacts), strict=True) if not each.why_not]
    over = next((at for at in map(history.phase_ns, ("heal", "final")) if at is not None), history.end_ns)
    if not happened or min(happened) >= over:
        return None
    span = (min(happened), over)
    away = history.derive(Unavailability)
    able = [part for part in away.parts(span) if all(away.is_whole(service, part[0]) for service in PREFIXES)]
    return After(span, able)


def _in_vain(
    history: History, after: After, kinds: Mapping[str, Sequence[Operation]], served: Mapping[str, Sequence[Operation]]
) -> Iterator[str]:
    for op, tried in kinds.items():
        in_time = after.in_time([each for each in tried if op == "checkout" or is_unanswered(each)])
        if not served[op] and len(in_time) >= TRIES:
            yield (
                f"no {op} was served any more after the first fault, at {seconds(history, after.span[0])}: {len(tried)} were "
                f"asked for, {len(in_time)} of them while nothing was in their way"
            )


def _is_served(history: History, operation: Operation) -> bool:
    """Acknowledged, or refused for what it asked for. What is said to be accepted must have come about."""
    if operation.outcome == "ok":
        return True
    if operation.op != "checkout":
        return not is_unanswered(operation)
    if operation.outcome == "unknown":
        return completed_later(history, operation)
    order = history.derive(build_model).orders.get(str(operation.args[0]))
    return denies(operation) or (order is not None and _could_not_be_bought(history, order))


def _could_not_be_bought(history: History, order: OrderModel) -> bool:
    """Whether what is there at the end would not have been enough for it either."""
    shop = history.derive(build_model)
    if order.items is None or order.total is None or order.user is None:
        return False
    needed = [(shop.account("item", item), quantity) for item, quantity in order.items.items()]
    needed.append((shop.account("user", order.user), order.total))
    left = [(None if account.final_read is None else balance(account.final_read), much) for account, much in needed]
    return any(there is not None and there < much for there, much in left)


def _figures(history: History, after: After, tried: Sequence[Operation], served: Sequence[Operation]) -> dict[str, Any]:
    """Of checkouts: the longest time in which none was served, and the faults after which none was any more."""
    began, over = after.span
    ends = sorted(each.completed_ns for each in served if each.completed_ns < over)
    longest = max(pairwise([began, *ends, over]), key=lambda gap: gap[1] - gap[0])
    last_ns = max((each.invoked_ns for each in served), default=-1)
    asked_ns = max((each.invoked_ns for each in tried), default=-1)
    starts = history.of_kind("fault-start")
    never = [
        f"{each.fault} of {each.target} at {each.from_s:.3f} s"
        for start, each in zip(starts, history.derive(impacts), strict=True)
        if not each.why_not and last_ns < start.at_ns <= asked_ns
    ]
    return {
        "first_fault_s": (began - history.start_ns) / 1e9,
        "longest_without_s": (longest[1] - longest[0]) / 1e9,
        "longest_from_s": (longest[0] - history.start_ns) / 1e9,
        "all_there_s": after.able_ns / 1e9,
        "never_again": never,
        "asked": len(tried),
        "succeeded": sum(each.outcome != "fail" for each in served),
        "words": _words(history, tried, served, longest, never),
    }


def _words(
    history: History, tried: Sequence[Operation], served: Sequence[Operation], longest: Span, never: Sequence[str]
) -> str:
    if not tried:
        return "no checkout was asked for after the first fault"
    done = sum(each.outcome != "fail" for each in served)
    told = f"{done or 'none'} of {len(tried)} checkouts begun after the first fault succeeded"
    if len(served) > done:
        told += f", {len(served) - done} were refused for what they asked"
    told += (
        f"; longest time without an answer {(longest[1] - longest[0]) / 1e9:.2f} s, from {seconds(history, longest[0])}"
    )
    if never:
        told += f"; none again after {len(never)} faults, the first {never[0]}"
    return told
