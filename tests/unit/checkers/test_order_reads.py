"""Reads and changes of an order at the very moment of what they are judged against: only what is later, or earlier, counts."""

import pytest

from harness.checkers import order_reads

PAID = {"paid": True, "user_id": "u", "items": [["i", 1]], "total_cost": 5}


def placed(run):
    """An order of one piece at 5, created by 10."""
    run.op("create_item", 5, value={"item_id": "i"}, at=(0, 1))
    run.op("create_order", "u", value={"order_id": "o"}, at=(2, 3))
    run.op("add_item", "o", "i", 1, at=(4, 10))
    return run


def read(run, begin, end, *, process=9, **fields):
    value = {"order_id": "o", **PAID, **fields}
    run.op("find_order", "o", value=value, at=(begin, end), process=process)


def names(run):
    return {violation.name for violation in order_reads.check(run.history()).violations}


@pytest.mark.parametrize(("begin", "accused"), [(30, False), (31, True)])
@pytest.mark.parametrize(
    ("op", "args", "outcome", "name"),
    [
        ("checkout", ("o",), "fail", "paid-order-refused"),
        ("add_item", ("o", "i", 1), "ok", "changed-after-payment"),
        ("remove_item", ("o", "i"), "ok", "changed-after-payment"),
    ],
)
def test_an_operation_that_begins_when_the_payment_is_acknowledged(run, op, args, outcome, name, begin, accused):
    placed(run).op("checkout", "o", at=(20, 30))
    status = {"fail": 409, "ok": 200}[outcome]
    value = {"error": "out of stock"} if outcome == "fail" else None
    run.op(op, *args, outcome=outcome, value=value, status=status, at=(begin, 40), process=1)
    assert (name in names(run)) == accused


@pytest.mark.parametrize(("begin", "accused"), [(30, False), (31, True)])
def test_an_unpaid_read_that_begins_when_the_payment_is_acknowledged(run, begin, accused):
    placed(run).op("checkout", "o", at=(20, 30))
    read(run, begin, 40, paid=False)
    assert names(run) == ({"acknowledged-checkout-missed"} if accused else set())


@pytest.mark.parametrize(("begin", "accused"), [(30, False), (31, True)])
def test_an_unpaid_read_that_begins_when_a_paid_one_ends(run, begin, accused):
    placed(run).op("checkout", "o", outcome="unknown", at=(20, 50))
    read(run, 25, 30)
    read(run, begin, 40, paid=False, process=8)
    assert names(run) == ({"paid-then-unpaid"} if accused else set())


@pytest.mark.parametrize(("end", "accused"), [(20, False), (19, True)])
def test_a_paid_read_that_ends_when_the_first_checkout_begins(run, end, accused):
    placed(run).op("checkout", "o", at=(20, 30))
    read(run, 11, end)
    assert names(run) == ({"paid-before-checkout"} if accused else set())


@pytest.mark.parametrize(("end", "accused"), [(40, False), (39, True)])
def test_a_paid_read_that_ends_when_a_checkout_begins_after_a_rejected_one(run, end, accused):
    placed(run).op("checkout", "o", outcome="fail", value={"error": "out of stock"}, status=409, at=(20, 30))
    run.op("checkout", "o", at=(40, 50))
    read(run, 31, end)
    assert names(run) == ({"refused-then-paid"} if accused else set())


@pytest.mark.parametrize(("begin", "accused"), [(10, False), (11, True)])
def test_a_read_without_a_line_that_begins_when_the_addition_is_acknowledged(run, begin, accused):
    read(placed(run), begin, 15, items=[], total_cost=0, paid=False)
    assert names(run) == ({"acknowledged-item-missing"} if accused else set())


@pytest.mark.parametrize(("end", "accused"), [(4, True), (5, False)])
def test_a_read_with_a_line_that_ends_when_the_addition_begins(run, end, accused):
    read(placed(run), 3, end, paid=False)
    assert names(run) == ({"item-from-nowhere"} if accused else set())


@pytest.mark.parametrize(("end", "accused"), [(20, True), (21, False)])
def test_a_read_without_a_line_that_ends_when_its_removal_begins(run, end, accused):
    placed(run).op("remove_item", "o", "i", at=(20, 30))
    read(run, 12, end, items=[], total_cost=0, paid=False)
    assert names(run) == ({"acknowledged-item-missing"} if accused else set())
