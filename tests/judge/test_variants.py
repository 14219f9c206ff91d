"""Variants of the API: each is converted to the present form and named, and nothing else is touched."""

from collections.abc import Callable
from typing import Any

import pytest

from harness.judge.variants import convert, says_not_done

CASES: list[tuple[str, Any, Any]] = [
    ("create_user", 7, {"user_id": 7}),
    ("create_user", {"id": "a"}, {"user_id": "a"}),
    ("create_order", {"orderId": "x"}, {"order_id": "x"}),
    ("find_user", {"user_id": "1", "credit": 5.0}, {"user_id": "1", "credit": 5}),
    ("find_user", {"user_id": "1", "balance": 5}, {"user_id": "1", "credit": 5}),
    ("find_item", {"stock": "12", "price": 3}, {"stock": 12, "price": 3}),
    ("find_order", {"paid": "false", "items": ["7", "8", "7"]}, {"paid": False, "items": [["7", 2], ["8", 1]]}),
    ("find_order", {"paid": 1, "items": {"7": 2}}, {"paid": True, "items": [["7", 2]]}),
    ("find_order", {"paid": True, "items": [{"item_id": "7", "quantity": 2}]}, {"paid": True, "items": [["7", 2]]}),
    ("find_order", {"paid": True, "items": [], "totalCost": 4}, {"paid": True, "items": [], "total_cost": 4}),
]


@pytest.mark.parametrize(("operation", "body", "converted"), CASES)
def test_a_variant_is_converted_and_named(operation: str, body: Any, converted: Any) -> None:
    seen: list[str] = []
    assert convert(operation, body, seen.append) == converted
    assert seen


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("create_user", {"user_id": "1"}),
        ("find_user", {"user_id": "1", "credit": 5}),
        ("find_user", {"user_id": "1", "credit": 5.5}),
        ("find_item", {"stock": "many", "price": None}),
        ("find_order", {"order_id": "1", "paid": True, "items": [["7", 2]], "user_id": "1", "total_cost": 4}),
        ("find_order", {"paid": "perhaps", "items": 7}),
        ("checkout", "done"),
        ("find_user", "<html>"),
        ("find_user", None),
    ],
)
def test_an_answer_without_a_variant_stays_as_it_is(operation: str, body: Any) -> None:
    def notice(variant: str) -> None:
        raise AssertionError(variant)

    check: Callable[[str], None] = notice
    assert convert(operation, body, check) == body


def test_only_a_false_done_is_a_rejection() -> None:
    assert says_not_done({"done": False})
    assert not any(map(says_not_done, ({"done": True}, {"done": 0}, {}, None, "done")))
