"""Variants of the course's API in the answers of shops, recognised and converted to the present form.

Older years of the course had other bodies, and students' shops have their own: a variant is named on the grade sheet and fails
nothing. An answer that no variant explains stays as it is, and the client records it as malformed.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

CREATED = {"create_user": "user_id", "create_item": "item_id", "create_order": "order_id"}
COUNTS = ("credit", "stock", "price", "total_cost")
SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "user_id": ("userId", "user", "id"),
    "item_id": ("itemId", "item", "id"),
    "order_id": ("orderId", "order", "id"),
    "credit": ("balance", "funds", "amount"),
    "stock": ("quantity", "amount", "available"),
    "total_cost": ("totalCost", "total_price", "total"),
    "items": ("lines", "products"),
}
"""Other names of a field."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    **{operation: (field,) for operation, field in CREATED.items()},
    "find_user": ("user_id", "credit"),
    "find_item": ("stock", "price"),
    "find_order": ("order_id", "paid", "items", "user_id", "total_cost"),
}
"""The fields of the answer to each operation."""

Notice = Callable[[str], None]
"""A callback that receives the name of each variant."""


def convert(operation: str, value: Any, notice: Notice) -> Any:
    """Return the body of a success in the form of the present API."""
    field = CREATED.get(operation)
    if field and type(value) in (str, int) and value != "":
        notice(f"{operation} answers with a bare id")
        return {field: value}
    if operation not in FIELDS or not isinstance(value, dict):
        return value
    renamed = dict(value)
    for field in FIELDS[operation]:
        _rename(renamed, field, notice)
    for name in COUNTS:
        if name in FIELDS[operation] and name in renamed:
            renamed[name] = _whole(name, renamed[name], notice)
    if "paid" in renamed and operation == "find_order":
        renamed["paid"] = _truth(renamed["paid"], notice)
    if "items" in renamed and operation == "find_order":
        renamed["items"] = _lines(renamed["items"], notice)
    return renamed


def says_not_done(value: Any) -> bool:
    """Return whether a body is `{"done": false}`, with which older shops reject a request under status 200."""
    return isinstance(value, dict) and value.get("done") is False


def _rename(body: dict[str, Any], field: str, notice: Notice) -> None:
    other = next((name for name in SPELLINGS.get(field, ()) if name in body), None)
    if field not in body and other is not None:
        notice(f"{field} is called {other}")
        body[field] = body.pop(other)


def _whole(name: str, value: Any, notice: Notice) -> Any:
    """Return a number that is written as a text or with a fraction of zero as a whole number."""
    if isinstance(value, float) and value.is_integer():
        notice(f"{name} is a number with a fraction")
        return int(value)
    if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 20:
        notice(f"{name} is a text")
        return int(value)
    return value


def _truth(value: Any, notice: Notice) -> Any:
    known = {"true": True, "false": False, "1": True, "0": False}
    if type(value) in (str, int) and str(value).lower() in known:
        notice("paid is no boolean")
        return known[str(value).lower()]
    return value


def _lines(items: Any, notice: Notice) -> Any:
    """Return the lines of an order as `[[item_id, quantity], ...]`."""
    if isinstance(items, dict):
        notice("the items of an order are an object of quantities")
        return [[item, _quantity(quantity)] for item, quantity in items.items()]
    if not isinstance(items, list) or not items:
        return items
    if all(type(item) in (str, int) for item in items):
        notice("the items of an order are ids, one for each piece")
        return [[item, pieces] for item, pieces in Counter(map(str, items)).items()]
    if all(isinstance(item, dict) for item in items):
        notice("the items of an order are objects")
        return [[_id_in(item), _quantity(item.get("quantity", item.get("amount", 1)))] for item in items]
    return [[line[0], _quantity(line[1])] if isinstance(line, list) and len(line) == 2 else line for line in items]


def _id_in(item: dict[str, Any]) -> Any:
    return next((item[name] for name in ("item_id", "itemId", "item", "id") if name in item), None)


def _quantity(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.isdecimal() else value
