"""The model of a shop: what a history says of each account and each order."""

import pytest

from harness.checkers.shop_model import build_model


def user_of(run):
    return build_model(run.history()).accounts["user"]["1"]


def order_of(run, name="o"):
    return build_model(run.history()).orders[name]


def see(run, what, number, **how):
    """A read of user 1 or of order o, which shows `number`."""
    if what == "user":
        return run.see_user("1", number, **how)
    run.see_order("o", "1", ("7", number), paid=True, total=number, **how)
    return run.operations[-1]


@pytest.fixture(params=["user", "order"])
def what(request, run):
    run.user("1", 100)
    run.item("7", 20)
    run.order("o", "1", ("7", 2))
    return request.param


def final_read(run, what):
    return (user_of(run) if what == "user" else order_of(run)).final_read


def test_a_read_before_the_final_phase_is_not_the_final_one(run, what):
    see(run, what, 2)
    assert final_read(run, what) is None
    run.phase("final")
    assert final_read(run, what) is None
    assert order_of(run).paid is None


@pytest.mark.parametrize(("begin", "counts"), [(49, False), (50, True), (51, True)])
def test_a_read_that_begins_with_the_final_phase_is_final(run, what, begin, counts):
    run.event("phase", at=50, name="final")
    read = see(run, what, 2, at=(begin, 60))
    assert final_read(run, what) is (read if counts else None)


def test_the_last_answer_of_the_final_phase_is_the_final_read(run, what):
    run.phase("final")
    see(run, what, 2)
    last = see(run, what, 3)
    run.op(f"find_{what}", *last.args, outcome="unknown", process=9)
    run.op(f"find_{what}", *last.args, outcome="fail", status=409, value="locked", process=10)
    assert final_read(run, what) is last
    denied = run.op(f"find_{what}", *last.args, outcome="fail", status=404, process=11)
    assert final_read(run, what) is denied
    assert order_of(run).gone is (what == "order")


def test_a_final_read_without_an_answer_is_better_than_none(run, what):
    run.phase("final")
    read = run.op(f"find_{what}", "1" if what == "user" else "o", outcome="unknown", process=9)
    assert final_read(run, what) is read
    assert not order_of(run).gone
