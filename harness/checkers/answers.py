"""Each answer by itself, against what was asked and what had been answered before: ids, denials, numbers, prices.

No isolation level allows any of it: an answer about something else, one id for two things, a price that nobody set, "no such
order" for an order that was acknowledged. The checkers `order_reads` and `balance_reads` judge the rest.
"""

import re
from collections.abc import Iterator
from typing import Any

from harness.checkers.claims import CONTRACT, KEPT
from harness.checkers.creations import INITS, Creations, EntityKind, find_creations
from harness.checkers.finding import Finding, Violation, conclude
from harness.checkers.formatting import describe, in_order, narrate, some
from harness.checkers.rejections import ACCEPTED
from harness.checkers.shop_model import build_model, denies
from harness.checkers.well_formed import NUMBERS
from harness.history import History, Operation

PROMISES = {
    "id-given-twice": CONTRACT,
    "foreign-answer": CONTRACT,
    "acknowledged-creation-denied": KEPT,
    "wrong-price": KEPT,
    "impossible-number": CONTRACT,
    "nonsense-accepted": CONTRACT,
}

LIMIT = 2**53
"""The contract's largest amount."""

SUBJECTS: dict[str, tuple[EntityKind, ...]] = {
    "find_user": ("user",),
    "add_funds": ("user",),
    "pay": ("user",),
    "find_item": ("item",),
    "add_stock": ("item",),
    "subtract_stock": ("item",),
    "find_order": ("order",),
    "add_item": ("order", "item"),
    "checkout": ("order",),
    "remove_order": ("order",),
}
"""What the first arguments of an operation name."""

FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    "find_user": {"user_id": (str, int), "credit": (int,)},
    "find_item": {"stock": (int,), "price": (int,)},
    "find_order": {
        "order_id": (str, int),
        "user_id": (str, int),
        "paid": (bool,),
        "items": (list,),
        "total_cost": (int,),
    },
}
"""The fields of an answer, and their types."""


def check(history: History) -> Finding:
    """Every answer of the history. Unknown if any are not what the API promises, or about what nobody made."""
    creations = history.derive(find_creations)
    malformed = [each for each in history.operations if each.outcome == "ok" and not is_whole(each)]
    reasons = (
        [f"{len(malformed)} answers lack what the API promises: {some(map(describe, malformed))}"] if malformed else []
    )
    unmade = [each for each in history.operations if each.outcome == "ok" and _is_of_nothing(creations, each)]
    if unmade:
        reasons.append(f"{len(unmade)} operations succeeded on what nobody made: {some(map(describe, unmade))}")
    violations = list(_given_twice(history, creations))
    for operation in history.operations:
        for name, what, evidence in _wrong(history, creations, operation):
            violations.append(accuse(history, name, what, *evidence, operation))
    return conclude(violations, reasons, {"answers": len(history.operations)})


def _is_of_nothing(creations: Creations, answer: Operation) -> bool:
    """Whether it names a user, an item or an order of which no creation is told: that was lost, or the shop made it up."""
    named = zip(SUBJECTS.get(answer.op, ()), map(str, answer.args), strict=False)
    return any(next(creations.of(kind, name), None) is None for kind, name in named)


def is_whole(answer: Operation) -> bool:
    """Whether a success has every field, of its type. A field that is missing says nothing."""
    fields = FIELDS.get(answer.op)
    if fields is None:
        return True
    value = answer.value
    return isinstance(value, dict) and all(type(value.get(name)) in types for name, types in fields.items())


def accuse(history: History, name: str, what: str, *evidence: Operation) -> Violation:
    """A violation in words, with its operations."""
    steps = in_order(evidence)
    keys = tuple(
        f"{kind} {arg}" for kind, arg in zip(SUBJECTS.get(evidence[-1].op, ()), evidence[-1].args, strict=False)
    )
    return Violation(name=name, explanation=f"{what}\n{narrate(history, steps)}", evidence=steps, keys=keys)


Accusation = tuple[str, str, tuple[Operation, ...]]
"""(name, what is wrong, operations that show it beside the answer itself)."""


def _given_twice(history: History, creations: Creations) -> Iterator[Violation]:
    for (kind, name), succeeded in creations.created.items():
        inits = [
            each
            for each in creations.of(kind, name)
            if each.op in INITS and each.outcome == "ok" and each.completed_ns < succeeded[0].invoked_ns
        ]
        before = [*inits, *succeeded]
        if len(before) > 1:
            what = f"{kind} {name} was given out {len(before)} times: each of these was told that it is new."
            yield accuse(history, "id-given-twice", what, *before)


def _wrong(history: History, creations: Creations, operation: Operation) -> Iterator[Accusation]:
    if operation.outcome == "ok":
        yield from _numbers(operation)
        if operation.op in FIELDS and is_whole(operation):
            yield from _ids(operation)
        if operation.op == "find_item" and is_whole(operation):
            yield from _price(creations, operation)
        return
    yield from _foreign(operation)
    if denies(operation):
        yield from _denied(history, creations, operation)


ACCEPTED_IDS = re.compile(r"'order_id': '([^']*)'|/find/([^']*)'")
"""The order in what a checkout is told that is only accepted: `202: {'order_id': '7', 'ask': '/orders/find/7'}`."""


def _foreign(answer: Operation) -> Iterator[Accusation]:
    """The ids in a refusal are among those that were asked for, and an accepted order is the one that was checked out."""
    asked = [str(arg) for arg in answer.args]
    if answer.outcome == "fail" and isinstance(answer.value, dict):
        names = [name for name in SUBJECTS.get(answer.op, ()) if f"{name}_id" in answer.value]
        found = [(str(name), answer.value[f"{name}_id"]) for name in names]
    elif answer.status == ACCEPTED:
        found = [("order", one or other) for one, other in ACCEPTED_IDS.findall(str(answer.value))]
    else:
        return
    for name, value in found:
        if str(value) not in asked:
            yield "foreign-answer", f"{answer.op} {' '.join(asked)} was answered with {name} {value!r}.", ()


def _ids(read: Operation) -> Iterator[Accusation]:
    """The id in the answer is the one that was asked for."""
    field = f"{read.op.removeprefix('find_')}_id"
    if field in FIELDS[read.op] and str(read.value[field]) != str(read.args[0]):
        yield "foreign-answer", f"{read.op} {read.args[0]} was answered with {field} {read.value[field]!r}.", ()


def _price(creations: Creations, read: Operation) -> Iterator[Accusation]:
    item, found = str(read.args[0]), read.value["price"]
    possible = creations.prices(item, read.invoked_ns, read.completed_ns)
    if possible and found not in possible:
        told = " or ".join(map(str, sorted(possible)))
        yield "wrong-price", f"item {item} has price {found}, and was given {told}.", tuple(creations.of("item", item))


def _denied(history: History, creations: Creations, refusal: Operation) -> Iterator[Accusation]:
    """A denial is false if all that it can be about is known: a checkout's may be about its user or an item."""
    named: list[tuple[EntityKind, str]] = list(zip(SUBJECTS.get(refusal.op, ()), map(str, refusal.args), strict=False))
    if refusal.op == "checkout":
        order = history.derive(build_model).orders.get(str(refusal.args[0]))
        if order is None or order.user is None or order.items is None:
            return
        named += [("user", order.user), *(("item", item) for item in order.items)]
    if _is_judged_at_the_end(history, creations, refusal, named):
        return
    if named and all(creations.is_known(kind, name, refusal) for kind, name in named):
        made = tuple(next(creations.of(kind, name)) for kind, name in named)
        told = ", ".join(f"{kind} {name}" for kind, name in named)
        yield "acknowledged-creation-denied", f"'{describe(refusal)}', but the shop had made {told}.", made


def _is_judged_at_the_end(
    history: History, creations: Creations, refusal: Operation, named: list[tuple[EntityKind, str]]
) -> bool:
    """The checker exactly-once names what is gone at the end, but for orders that were made many at once."""
    final_ns = history.phase_ns("final")
    is_final = final_ns is not None and refusal.invoked_ns >= final_ns
    return is_final and all(kind != "order" or (kind, name) in creations.created for kind, name in named)


def _numbers(operation: Operation) -> Iterator[Accusation]:
    """Amounts lie between 0 and 2^53, in what is accepted and in what is answered; `conservation` names negative balances."""
    asked = [int(operation.args[position]) for position in NUMBERS.get(operation.op, ())]
    if any(not 0 <= number <= LIMIT for number in asked):
        yield "nonsense-accepted", f"'{describe(operation)}': amounts lie between 0 and 2^53.", ()
    for name, number in _figures(operation.value):
        if number > LIMIT or (number < 0 and name not in {"credit", "stock"}):
            yield "impossible-number", f"{operation.op} {operation.args[0]} was answered with {name} {number}.", ()


def _figures(value: Any) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        yield from (
            (name, number) for name, number in value.items() if type(number) is int and not name.endswith("_id")
        )
        lines = value.get("items")
        for line in lines if isinstance(lines, list) else ():
            if isinstance(line, list) and len(line) == 2 and type(line[1]) is int:
                yield f"quantity of item {line[0]}", line[1]
