"""Blocking: no entity stays locked by an unavailable node for longer than the protocol claims.

A user, an item or an order is blocked while every operation on it is answered by an available service that cannot
execute it: the entity is locked, or the operation is unfinished at the time limit. An operation that succeeded, or
was rejected for its content, shows that its entity was free at some time between its begin and its end. The checker
judges the spans in which no node fails or returns, so a transaction that blocks began before them: by absence, while
stock and payment are fully available and the order service has an instance; by outage, while one of the two is not,
the entities that need only the other. A checkout may wait for any silent instance that received it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.checkers.claims import BLOCKED, OUTAGE, Exclusion
from harness.checkers.finding import Finding, Violation, conclude
from harness.checkers.formatting import abbreviate, in_order, list_operations, seconds
from harness.checkers.operations import DEPOSITS
from harness.checkers.rejections import is_blocked, is_unanswered
from harness.checkers.shop_model import build_model
from harness.checkers.unavailability import Span, Unavailability, united
from harness.history import History, Operation
from protocols.shop.services import PREFIXES

EXCLUDED_BY: dict[str, Exclusion] = {"blocked-by-absence": BLOCKED, "blocked-by-outage": OUTAGE}

ANSWER_DELAY_S = 1.0
"""Longest time in seconds from the end of a block to its last answer: a service ends its wait in time to answer."""

COORDINATOR = "order"
OF_KIND = {"user": "payment", "item": "stock"}
"""The service that has each kind of account."""

READS = {"find_user": "user", "find_item": "item", "find_order": "order"}


class Block(NamedTuple):
    """A blocked entity, the span of at least this block, and the operations that show it. `name` is that of the
    violation.
    """

    name: str
    key: str
    span: Span
    operations: tuple[Operation, ...]

    @property
    def lasted_ns(self) -> int:
        return self.span[1] - self.span[0]


class Access(NamedTuple):
    """An operation on an entity: `blocked`, or a proof that the entity was free."""

    operation: Operation
    blocked: bool


def check(history: History) -> Finding:
    """Judge every block of an entity while a node was unavailable."""
    blocks = sorted(_blocks(history), key=lambda block: block.lasted_ns, reverse=True)
    spans = [window.span for window in history.derive(_windows)]
    figures: dict[str, Any] = {
        "bounds_s": {name: _bound_s(history, name) for name in EXCLUDED_BY},
        "longest_away_s": max((end - begin for begin, end in spans), default=0) / 1e9,
        "longest_blocked_s": {
            name: max((block.lasted_ns / 1e9 for block in blocks if block.name == name), default=0)
            for name in EXCLUDED_BY
        },
    }
    too_long = []
    for block in blocks:
        bound_s = _bound_s(history, block.name)
        if bound_s is not None and block.lasted_ns > (bound_s + ANSWER_DELAY_S) * 1e9:
            too_long.append(_violation(history, block, bound_s))
    return conclude(too_long, (), figures)


def _bound_s(history: History, name: str) -> float | None:
    bound_s: float | None = getattr(history.header.claims, EXCLUDED_BY[name].claim)
    return bound_s


@dataclass(frozen=True, slots=True)
class Window:
    """A span of the load in which no node failed or returned, and some node was unavailable.

    `name` is the violation's name for a block in it, by kind of entity; a kind whose operations may wait for an
    unavailable node is left out. `checkouts`: whether a blocked checkout is evidence.
    """

    span: Span
    name: Mapping[str, str]
    checkouts: bool


def _windows(history: History) -> list[Window]:
    """Return the windows of the load. Use `history.derive(_windows)`."""
    phases = map(history.phase_ns, ("heal", "final"))
    end_ns = next((at_ns for at_ns in phases if at_ns is not None), history.end_ns)
    unavailability = history.derive(Unavailability)
    windows = []
    for span in unavailability.parts((history.start_ns, end_ns)):
        at_ns = span[0]
        if not unavailability.unavailable_nodes(at_ns) or not unavailability.is_available(COORDINATOR, at_ns):
            continue
        available = {service: unavailability.is_fully_available(service, at_ns) for service in PREFIXES}
        name = "blocked-by-absence" if all(available[service] for service in OF_KIND.values()) else "blocked-by-outage"
        kinds = [kind for kind, service in OF_KIND.items() if available[service]]
        if all(available.values()):
            kinds.append("order")
        if kinds:
            windows.append(Window(span, dict.fromkeys(kinds, name), all(available.values())))
    return windows


def _blocks(history: History) -> Iterator[Block]:
    windows = history.derive(_windows)
    if not windows:
        return
    for (kind, key), accesses in _by_key(history).items():
        without_checkouts = [access for access in accesses if access.operation.op != "checkout" or not access.blocked]
        for window in windows:
            if kind in window.name:
                counted = accesses if window.checkouts else without_checkouts
                yield from _in_span(window.name[kind], f"{kind} {key}", window.span, counted)


def _by_key(history: History) -> dict[tuple[str, str], list[Access]]:
    """Return the accesses that are evidence, by the entities of blocked operations."""
    blocked = [operation for operation in history.operations if is_blocked(operation)]
    accesses: dict[tuple[str, str], list[Access]] = {}
    for operation in blocked:
        for key in _keys(history, operation):
            accesses.setdefault(key, []).append(Access(operation, True))
    for operation in history.operations if accesses else ():
        if not is_unanswered(operation) and not is_blocked(operation):
            for key in _keys(history, operation):
                if key in accesses:
                    accesses[key].append(Access(operation, False))
    return accesses


def _keys(history: History, operation: Operation) -> Iterable[tuple[str, str]]:
    """Yield (kind, id) of each entity that an operation needs."""
    op, args = operation.op, operation.args
    if op in READS or op in DEPOSITS:
        yield READS[op] if op in READS else DEPOSITS[op][0], str(args[0])
    elif op == "checkout":
        yield "order", str(args[0])
        order = history.derive(build_model).orders.get(str(args[0]))
        if order is not None and order.user is not None:
            yield "user", order.user
        if order is not None:
            yield from (("item", item) for item in order.items or ())


def _in_span(name: str, key: str, span: Span, accesses: Sequence[Access]) -> Iterator[Block]:
    """Yield the blocks of one entity in a span: between two proofs that it was free, from the first to the last
    blocked access.

    One blocked operation gives no length, so a block has two at least.
    """
    mine = [
        access
        for access in accesses
        if access.operation.completed_ns > span[0] and access.operation.invoked_ns < span[1]
    ]
    blocked = [access.operation for access in mine if access.blocked and access.operation.completed_ns <= span[1]]
    if len(blocked) < 2:
        return
    # A proof holds for some moment of its operation and not for a known one, so the whole operation counts as free.
    free = united((access.operation.invoked_ns, access.operation.completed_ns) for access in mine if not access.blocked)
    begins = [span[0], *(end for _, end in free)]
    ends = [*(begin for begin, _ in free), span[1]]
    blocked.sort(key=lambda operation: operation.completed_ns)
    done = [operation.completed_ns for operation in blocked]
    for begin, end in zip(begins, ends, strict=True):
        inside = [operation for operation in blocked[bisect_left(done, begin) :] if operation.invoked_ns < end]
        if len(inside) > 1:
            first = max(begin, min(operation.invoked_ns for operation in inside))
            last = min(end, max(operation.completed_ns for operation in inside))
            yield Block(name, key, (first, last), in_order(inside))


def _violation(history: History, block: Block, bound_s: float) -> Violation:
    unavailable = abbreviate(history.derive(Unavailability).unavailable_nodes(block.span[0]))
    return Violation(
        name=block.name,
        explanation=f"{block.key} was blocked for {block.lasted_ns / 1e9:.1f} s from {seconds(history, block.span[0])}, while "
        f"{unavailable} stayed unavailable; the claimed bound is {bound_s:g} s.\n{list_operations(history, block.operations)}",
        evidence=block.operations,
        keys=(block.key,),
    )
