"""Nobody waits for a node that stays away longer than the protocol claims: what it holds of others is freed by somebody else.

A user, an item or an order is blocked while everything that is asked of it is answered by a service that is there, and that
cannot do it: it is locked, or not finished within the time limit. What was done, or refused for what it asked, shows that it
was free at some time of that operation. Judged are the spans of time in which no node goes away or comes back, so that whatever
blocks was begun before them: by absence, while stock and payment are whole and the order service has an instance; by outage,
while one of them is not, what needs only the other. A checkout may wait for any silent instance that it was given to.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness.checkers.claims import BLOCKED, OUTAGE, Promise
from harness.checkers.finding import Finding, Violation, conclude
from harness.checkers.formatting import in_order, narrate, seconds, some
from harness.checkers.rejections import is_blocked, is_unanswered
from harness.checkers.shop_model import DEPOSITS, build_model
from harness.checkers.unavailability import Span, Unavailability, united
from harness.history import History, Operation
from protocols.shop.routes import PREFIXES

PROMISES: dict[str, Promise] = {"blocked-by-absence": BLOCKED, "blocked-by-outage": OUTAGE}

HEARD_WITHIN_S = 1.0
"""A client hears of what has held it up so much later at most: a service gives up early enough to answer, and pauses."""

COORDINATOR = "order"
OF_KIND = {"user": "payment", "item": "stock"}
"""The service that has each kind of account."""

READS = {"find_user": "user", "find_item": "item", "find_order": "order"}


class Block(NamedTuple):
    """What was blocked, from when to when at least, and the operations that show it. `name` is that of the violation."""

    name: str
    key: str
    span: Span
    operations: tuple[Operation, ...]

    @property
    def lasted_ns(self) -> int:
        return self.span[1] - self.span[0]


class Asked(NamedTuple):
    """One operation on one key: `held_up`, or the proof that it was free."""

    operation: Operation
    held_up: bool


def check(history: History) -> Finding:
    """Every time in which something was blocked while a node was away."""
    blocks = sorted(_blocks(history), key=lambda block: block.lasted_ns, reverse=True)
    spans = [stretch.span for stretch in history.derive(_stretches)]
    figures: dict[str, Any] = {
        "bounds_s": {name: _bound_s(history, name) for name in PROMISES},
        "longest_away_s": max((end - begin for begin, end in spans), default=0) / 1e9,
        "longest_blocked_s": {
            name: max((block.lasted_ns / 1e9 for block in blocks if block.name == name), default=0) for name in PROMISES
        },
    }
    too_long = []
    for block in blocks:
        bound_s = _bound_s(history, block.name)
        if bound_s is not None and block.lasted_ns > (bound_s + HEARD_WITHIN_S) * 1e9:
            too_long.append(_tell(history, block, bound_s))
    return conclude(too_long, (), figures)


def _bound_s(history: History, name: str) -> float | None:
    bound_s: float | None = getattr(history.header.claims, PROMISES[name].claim)
    return bound_s


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span of the load in which no node went away or came back, and some node was away.

    `name` is what it would be called if something was blocked in it, by kind of key; a kind whose operations may wait for what
    is away is not in it. `checkouts`: whether one that is held up shows anything.
    """

    span: Span
    name: Mapping[str, str]
    checkouts: bool


def _stretches(history: History) -> list[Stretch]:
    """Use `history.derive(_stretches)`."""
    phases = map(history.phase_ns, ("heal", "final"))
    end_ns = next((at_ns for at_ns in phases if at_ns is not None), history.end_ns)
    away = history.derive(Unavailability)
    found = []
    for span in away.parts((history.start_ns, end_ns)):
        at_ns = span[0]
        if not away.away(at_ns) or not away.is_there(COORDINATOR, at_ns):
            continue
        whole = {service: away.is_whole(service, at_ns) for service in PREFIXES}
        name = "blocked-by-absence" if all(whole[each] for each in OF_KIND.values()) else "blocked-by-outage"
        kinds = [kind for kind, service in OF_KIND.items() if whole[service]]
        if all(whole.values()):
            kinds.append("order")
        if kinds:
            found.append(Stretch(span, dict.fromkeys(kinds, name), all(whole.values())))
    return found


def _blocks(history: History) -> Iterator[Block]:
    stretches = history.derive(_stretches)
    if not stretches:
        return
    for (kind, key), asked in _by_key(history).items():
        without = [each for each in asked if each.operation.op != "checkout" or not each.held_up]
        for stretch in stretches:
            if kind in stretch.name:
                counted = asked if stretch.checkouts else without
                yield from _in_span(stretch.name[kind], f"{kind} {key}", stretch.span, counted)


def _by_key(history: History) -> dict[tuple[str, str], list[Asked]]:
    """By user, item and order of which something was held up, what was asked of each and says anything."""
    held_up = [operation for operation in history.operations if is_blocked(operation)]
    found: dict[tuple[str, str], list[Asked]] = {}
    for operation in held_up:
        for key in _keys(history, operation):
            found.setdefault(key, []).append(Asked(operation, True))
    for operation in history.operations if found else ():
        if not is_unanswered(operation) and not is_blocked(operation):
            for key in _keys(history, operation):
                if key in found:
                    found[key].append(Asked(operation, False))
    return found


def _keys(history: History, operation: Operation) -> Iterable[tuple[str, str]]:
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


def _in_span(name: str, key: str, span: Span, asked: Sequence[Asked]) -> Iterator[Block]:
    """Between what shows that it was free, from the first to the last that shows that it was not."""
    mine = [each for each in asked if each.operation.completed_ns > span[0] and each.operation.invoked_ns < span[1]]
    held_up = [each.operation for each in mine if each.held_up and each.operation.completed_ns <= span[1]]
    if len(held_up) < 2:
        return
    free = united((each.operation.invoked_ns, each.operation.completed_ns) for each in mine if not each.held_up)
    begins = [span[0], *(end for _, end in free)]
    ends = [*(begin for begin, _ in free), span[1]]
    held_up.sort(key=lambda operation: operation.completed_ns)
    done = [operation.completed_ns for operation in held_up]
    for begin, end in zip(begins, ends, strict=True):
        inside = [each for each in held_up[bisect_left(done, begin) :] if each.invoked_ns < end]
        if len(inside) > 1:
            first = max(begin, min(each.invoked_ns for each in inside))
            last = min(end, max(each.completed_ns for each in inside))
            yield Block(name, key, (first, last), in_order(inside))


def _tell(history: History, block: Block, bound_s: float) -> Violation:
    away = some(history.derive(Unavailability).away(block.span[0]))
    return Violation(
        name=block.name,
        explanation=f"{block.key} was blocked for {block.lasted_ns / 1e9:.1f} s from {seconds(history, block.span[0])}, while "
        f"{away} stayed away; others wait {bound_s:g} s at most.\n{narrate(history, block.operations)}",
        evidence=block.operations,
        keys=(block.key,),
    )
