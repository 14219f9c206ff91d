"""Arguments and statuses at the edges of what the contract allows, and denials at the moment of a creation."""

import pytest

from harness.checkers import answers
from harness.checkers.well_formed import ARGUMENTS, ill_formed

LIMIT = 2**53
CALLS = {
    "create_user": (),
    "add_funds": ("u", 1),
    "pay": ("u", 1),
    "find_user": ("u",),
    "init_users": (1, 1),
    "create_item": (1,),
    "add_stock": ("i", 1),
    "subtract_stock": ("i", 1),
    "find_item": ("i",),
    "init_items": (1, 1, 1),
    "create_order": ("u",),
    "add_item": ("o", "i", 1),
    "remove_item": ("o", "i"),
    "remove_order": ("o",),
    "checkout": ("o",),
    "find_order": ("o",),
    "init_orders": (1, 1, 1, 1),
}
"""A call of each operation; what is a number here is one in the contract."""

PLACES = [(op, place) for op, args in CALLS.items() for place, arg in enumerate(args) if isinstance(arg, int)]
TEXTS = [(op, place) for op, args in CALLS.items() for place, arg in enumerate(args) if isinstance(arg, str)]


def called(run, op, place, arg):
    args = list(CALLS[op])
    args[place] = arg
    new = type(run)()
    new.op(op, *args, value="1" if op.startswith("create_") else None)
    return new.history()


def names(history):
    return [violation.name for violation in answers.check(history).violations]


def test_every_operation_is_called():
    assert {op: len(args) for op, args in CALLS.items()} == ARGUMENTS


@pytest.mark.parametrize(("op", "place"), PLACES)
def test_an_argument_that_is_a_number_has_bounds(run, op, place):
    for number in (-1, LIMIT + 1):
        assert names(called(run, op, place, number)) == ["nonsense-accepted"], number
    for number in (0, LIMIT):
        assert not names(called(run, op, place, number)), number
    assert ill_formed(called(run, op, place, "x"))


@pytest.mark.parametrize(("op", "place"), TEXTS)
def test_an_argument_that_is_a_text_may_be_any(run, op, place):
    for text in ("x", "-1", str(LIMIT + 1)):
        history = called(run, op, place, text)
        assert not names(history)
        assert not ill_formed(history)


@pytest.mark.parametrize("number", [LIMIT, LIMIT + 1])
def test_a_number_in_an_answer_has_a_bound(run, number):
    run.user("u", number)
    run.see_user("u", number)
    assert ("impossible-number" in names(run.history())) == (number > LIMIT)


@pytest.mark.parametrize(
    ("outcome", "status", "fits"),
    [
        *(("ok", status, True) for status in (None, 200, 201, 203, 299)),
        *(("ok", status, False) for status in (0, 199, 202, 300, 400)),
        *(("fail", status, True) for status in (None, 400, 499)),
        *(("fail", status, False) for status in (200, 399, 500)),
        *(("unknown", status, True) for status in (None, 0, 200, 202, 409, 502)),
    ],
)
def test_an_outcome_fits_its_status(run, outcome, status, fits):
    run.op("checkout", "o", outcome=outcome, status=status)
    assert bool(ill_formed(run.history())) != fits


@pytest.mark.parametrize(("begins", "accused"), [(10, False), (11, True)])
def test_a_denial_that_begins_when_the_creation_ends_is_none(run, begins, accused):
    run.op("create_user", value={"user_id": "u"}, at=(0, 10))
    run.op("find_user", "u", outcome="fail", status=404, value={"error": "no such user"}, at=(begins, 20), process=1)
    assert ("acknowledged-creation-denied" in names(run.history())) == accused


@pytest.mark.parametrize(
    ("value", "accused"),
    [("the order_id is unknown", False), ({"order_id": "o"}, False), ({"order_id": "p"}, True)],
)
def test_a_rejection_with_an_id_is_about_the_order_of_its_request(run, value, accused):
    run.op("create_order", "u", value={"order_id": "o"})
    run.op("checkout", "o", outcome="fail", value=value, status=409)
    assert names(run.history()) == (["foreign-answer"] if accused else [])
