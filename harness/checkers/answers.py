"""Each answer alone, against its request and the answers before it: ids, denials, numbers, prices.

No isolation level allows an answer about another entity, one id for two entities, a price that no request set, or "no
such order" for an order whose creation was acknowledged. The checkers `order_reads` and `balance_reads` judge the
other fields.
"""

import re
from collections.abc import Iterator
from typing import Any

from harness.checkers.claims import CONTRACT, KEPT
from harness.checkers.creations import INITS, Creations, EntityKind, find_creations
from harness.checkers.finding import Finding, Violation, conclude
from harness.checkers.formatting import abbreviate, describe, in_order, list_operations
from harness.checkers.operations import denies
from harness.checkers.rejections import ACCEPTED
from harness.checkers.shop_model import build_model
from harness.checkers.well_formed import NUMBERS
from harness.history import History, Operation

EXCLUDED_BY = {
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
"""The kinds of entities that the first arguments of an operation name."""

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
    """Judge every answer of the history. Unknown if an answer is malformed, or about an entity without a creation."""
    creations = history.derive(find_creations)
    malformed = [answer for answer in history.operations if answer.outcome == "ok" and not is_well_formed(answer)]
    reasons = (
        [f"{len(malformed)} answers lack fields of the API: {abbreviate(map(describe, malformed))}"]
        if malformed
        else []
    )
    uncreated = [
        answer for answer in history.operations if answer.outcome == "ok" and _has_no_creation(creations, answer)
    ]
    if uncreated:
        reasons.append(
            f"{len(uncreated)} operations succeeded on entities without a creation: {abbreviate(map(describe, uncreated))}"
        )
    violations = list(_given_twice(history, creations))
    for operation in history.operations:
        for name, what, evidence in _wrong(history, creations, operation):
            violations.append(violation_of(history, name, what, *evidence, operation))
    return conclude(violations, reasons, {"answers": len(history.operations)})


def _has_no_creation(creations: Creations, answer: Operation) -> bool:
    """Whether an answer names an entity without a creation: the history lost it, or the shop invented the entity."""
    named = zip(SUBJECTS.get(answer.op, ()), map(str, answer.args), strict=False)
    return any(next(creations.of(kind, name), None) is None for kind, name in named)


def is_well_formed(answer: Operation) -> bool:
    """Whether a success has every field, of its type. A malformed answer is no evidence and is left out."""
    fields = FIELDS.get(answer.op)
    if fields is None:
        return True
    value = answer.value
    return isinstance(value, dict) and all(type(value.get(name)) in types for name, types in fields.items())


def violation_of(history: History, name: str, what: str, *evidence: Operation) -> Violation:
    """Return a violation with its explanation and its operations."""
    steps = in_order(evidence)
    keys = tuple(
        f"{kind} {arg}" for kind, arg in zip(SUBJECTS.get(evidence[-1].op, ()), evidence[-1].args, strict=False)
    )
    return Violation(name=name, explanation=f"{what}\n{list_operations(history, steps)}", evidence=steps, keys=keys)


Accusation = tuple[str, str, tuple[Operation, ...]]
"""(name, explanation, evidence beside the answer itself)."""


def _given_twice(history: History, creations: Creations) -> Iterator[Violation]:
    """Yield each id that two creations returned, or one creation after a `batch_init` that contains it."""
    for (kind, name), succeeded in creations.created.items():
        inits = [
            init
            for init in creations.of(kind, name)
            if init.op in INITS and init.outcome == "ok" and init.completed_ns < succeeded[0].invoked_ns
        ]
        evidence = [*inits, *succeeded]
        if len(evidence) > 1:
            what = f"{kind} {name} was created {len(evidence)} times: each of these answers gives it as a new id."
            yield violation_of(history, "id-given-twice", what, *evidence)


def _wrong(history: History, creations: Creations, operation: Operation) -> Iterator[Accusation]:
    if operation.outcome == "ok":
        yield from _numbers(operation)
        if operation.op in FIELDS and is_well_formed(operation):
            yield from _ids(operation)
        if operation.op == "find_item" and is_well_formed(operation):
            yield from _price(creations, operation)
        return
    yield from _foreign(operation)
    if denies(operation):
        yield from _denied(history, creations, operation)


ACCEPTED_IDS = re.compile(r"'order_id': '([^']*)'|/find/([^']*)'")
"""The order in the answer to an accepted checkout: `202: {'order_id': '7', 'ask': '/orders/find/7'}`."""


def _foreign(answer: Operation) -> Iterator[Accusation]:
    """Yield a rejection with an id that is not in the request, and an accepted checkout with another order."""
    requested = [str(arg) for arg in answer.args]
    if answer.outcome == "fail" and isinstance(answer.value, dict):
        names = [name for name in SUBJECTS.get(answer.op, ()) if f"{name}_id" in answer.value]
        ids = [(str(name), answer.value[f"{name}_id"]) for name in names]
    elif answer.status == ACCEPTED:
        ids = [("order", in_body or in_path) for in_body, in_path in ACCEPTED_IDS.findall(str(answer.value))]
    else:
        return
    for name, value in ids:
        if str(value) not in requested:
            yield "foreign-answer", f"{answer.op} {' '.join(requested)} was answered with {name} {value!r}.", ()


def _ids(read: Operation) -> Iterator[Accusation]:
    """Yield a read whose answer has another id than its request."""
    field = f"{read.op.removeprefix('find_')}_id"
    if field in FIELDS[read.op] and str(read.value[field]) != str(read.args[0]):
        yield "foreign-answer", f"{read.op} {read.args[0]} was answered with {field} {read.value[field]!r}.", ()


def _price(creations: Creations, read: Operation) -> Iterator[Accusation]:
    """Yield a read with a price that no creation of the item has set."""
    item, price = str(read.args[0]), read.value["price"]
    possible = creations.prices(item, read.invoked_ns, read.completed_ns)
    if possible and price not in possible:
        expected = " or ".join(map(str, sorted(possible)))
        yield (
            "wrong-price",
            f"item {item} has price {price}, and was created with {expected}.",
            tuple(creations.of("item", item)),
        )


def _denied(history: History, creations: Creations, refusal: Operation) -> Iterator[Accusation]:
    """Yield a denial of entities that all exist. The denial of a checkout may be about its user or an item as well."""
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
        entities = ", ".join(f"{kind} {name}" for kind, name in named)
        yield "acknowledged-creation-denied", f"'{describe(refusal)}', but the shop had created {entities}.", made


def _is_judged_at_the_end(
    history: History, creations: Creations, refusal: Operation, named: list[tuple[EntityKind, str]]
) -> bool:
    """Whether `exactly-once` reports this denial: it judges the final reads, except of orders that `batch_init`
    created.
    """
    final_ns = history.phase_ns("final")
    is_final = final_ns is not None and refusal.invoked_ns >= final_ns
    return is_final and all(kind != "order" or (kind, name) in creations.created for kind, name in named)


def _numbers(operation: Operation) -> Iterator[Accusation]:
    """Yield amounts outside 0 to 2^53 in accepted requests and in answers; `conservation` reports negative balances."""
    requested = [int(operation.args[position]) for position in NUMBERS.get(operation.op, ())]
    if any(not 0 <= number <= LIMIT for number in requested):
        yield "nonsense-accepted", f"'{describe(operation)}': amounts lie between 0 and 2^53.", ()
    for name, number in _figures(operation.value):
        if number > LIMIT or (number < 0 and name not in {"credit", "stock"}):
            yield "impossible-number", f"{operation.op} {operation.args[0]} was answered with {name} {number}.", ()


def _figures(value: Any) -> Iterator[tuple[str, int]]:
    """Yield (name, number) of every number in an answer, except ids."""
    if isinstance(value, dict):
        yield from (
            (name, number) for name, number in value.items() if type(number) is int and not name.endswith("_id")
        )
        lines = value.get("items")
        for line in lines if isinstance(lines, list) else ():
            if isinstance(line, list) and len(line) == 2 and type(line[1]) is int:
                yield f"quantity of item {line[0]}", line[1]
