"""The parts of an operation of the shop's API: balances, payments, contents, amounts, ids and denials.

A malformed answer counts as no answer.
"""

import re
from typing import Any, Literal

from harness.history import Operation

AccountKind = Literal["user", "item"]

DEPOSITS: dict[str, tuple[AccountKind, int]] = {
    "add_funds": ("user", +1),
    "pay": ("user", -1),
    "add_stock": ("item", +1),
    "subtract_stock": ("item", -1),
}
"""Operations on one balance, and their sign."""

BALANCE = {"find_user": "credit", "find_item": "stock"}


def balance_in(read: Operation) -> int | None:
    """Return the credit or stock in the answer to a read, None if the answer is malformed."""
    value = field_of(read, BALANCE[read.op])
    return value if type(value) is int and read.outcome == "ok" else None


def paid(read: Operation) -> bool | None:
    """Return whether a read shows the order as paid, None if its answer is malformed."""
    value = field_of(read, "paid")
    return value if type(value) is bool and read.outcome == "ok" else None


def contents(read: Operation) -> tuple[dict[str, int], int] | None:
    """Return (quantity by item, total cost) in the answer to a read of an order, None if it is malformed."""
    total, lines = field_of(read, "total_cost"), field_of(read, "items")
    if type(total) is not int or not isinstance(lines, list):
        return None
    items: dict[str, int] = {}
    for line in lines:
        match line:
            case [item, int(quantity)]:
                items[str(item)] = items.get(str(item), 0) + quantity
            case _:
                return None
    return items, total


UNKNOWN_ID = frozenset({404, 410})
AMBIGUOUS = frozenset({None, 400, 422})
"""Statuses (None in old histories) whose text decides whether the id is unknown."""

_DENIAL = re.compile(r"unknown|not found|no such|does not exist|missing", re.IGNORECASE)


def denies(answer: Operation) -> bool:
    """Whether an answer denies that its entity exists. Other rejections (a lock, too little stock) do not."""
    if answer.outcome != "fail":
        return False
    return answer.status in UNKNOWN_ID or (answer.status in AMBIGUOUS and bool(_DENIAL.search(str(answer.value))))


def amount(move: Operation) -> int:
    """Return the amount that a deposit or withdrawal adds to its balance."""
    return DEPOSITS[move.op][1] * int(move.args[1])


def field_of(operation: Operation, name: str) -> Any:
    """Return a field of an answer, None without it."""
    return operation.value.get(name) if isinstance(operation.value, dict) else None


def new_id(operation: Operation, name: str) -> str:
    """Return the id in an answer, a whole (`{"user_id": "3"}`) or a bare one (`"3"`)."""
    value = operation.value[name] if isinstance(operation.value, dict) else operation.value
    if not isinstance(value, str | int):
        raise TypeError(f"{operation.op} answered {operation.value!r}, which has no {name}")
    return str(value)
