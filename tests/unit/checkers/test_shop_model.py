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


def test_the_contents_of_a_made_order_are_those_of_its_last_read(run):
    run.op("init_orders", 1, 2, 1, 5)
    for quantity in (1, 3):
        run.see_order("0", "1", ("7", quantity), paid=False, total=5 * quantity)
        order = order_of(run, "0")
        assert (order.user, order.items, order.total) == ("1", {"7": quantity}, 5 * quantity)


@pytest.mark.parametrize(("op", "args"), [("add_item", ("o", "7", 1)), ("remove_item", ("o", "7"))])
def test_a_read_does_not_say_the_contents_of_an_order_that_may_have_changed_since(run, op, args):
    run.op("create_order", "1", value={"order_id": "o"})
    run.op(op, *args, outcome="unknown", process=9)
    run.see_order("o", "1", ("7", 1), paid=False, total=1)
    assert not order_of(run).known


def test_a_batch_init_sets_prices_and_openings(run):
    run.op("init_users", 1, 100)
    run.op("init_items", 2, 50, 5)
    run.order("o", "0", ("1", 2), ("0", 1), ("1", 1))
    order, accounts = order_of(run), build_model(run.history()).accounts
    assert (order.items, order.total) == ({"1": 3, "0": 1}, 20)
    assert [draw[1] for draw in accounts["user"]["0"].draws] == [20]
    assert {name: item.opening for name, item in accounts["item"].items()} == {"0": 50, "1": 50}


@pytest.mark.parametrize(
    ("outcome", "end", "kept"),
    [("ok", 19, False), ("ok", 20, True), ("unknown", 19, True), ("unknown", 20, True), ("fail", 20, False)],
)
def test_a_reset_leaves_out_the_deposits_that_ended_before_it(run, outcome, end, kept):
    run.op("init_users", 2, 100, at=(1, 5))
    move = run.op("add_funds", "1", 7, at=(10, end), outcome=outcome, process=9)
    run.op("init_users", 2, 60, at=(20, 30))
    account = user_of(run)
    assert (account.opening, account.set_ns) == (60, 30_000_000)
    assert account.moves == [move] * kept
    assert account.every_move == [move] * (outcome != "fail")


@pytest.mark.parametrize("outcome", ["fail", "unknown"])
def test_a_reset_without_success_is_possible_or_nothing(run, outcome):
    run.op("init_users", 2, 100)
    run.op("init_users", 2, 60, outcome=outcome, process=9)
    assert (user_of(run).opening, user_of(run).possible_openings) == (100, [60] * (outcome == "unknown"))


@pytest.mark.parametrize(
    ("first", "again", "recreated"),
    [("ok", "ok", True), ("unknown", "unknown", True), ("fail", "ok", False), ("ok", "fail", False)],
)
def test_an_order_is_recreated_after_a_checkout_that_may_have_paid_it(run, first, again, recreated):
    run.op("init_orders", 2, 3, 1, 5)
    for name in ("0", "2"):
        run.op("checkout", name, outcome=first, process=9)
    for number in range(2):
        run.op("init_orders", 2, 3, 1, 5, outcome=again if number == 0 else "fail", process=10 + number)
    assert order_of(run, "0").recreated is recreated
    assert not order_of(run, "2").recreated, "the numbers end below the count"


@pytest.mark.parametrize(("answers", "touched"), [([404], False), ([409], True), ([404, 409, 404], True), ([], False)])
@pytest.mark.parametrize(("op", "args"), [("add_funds", ("1", 5)), ("find_user", ("1",))])
def test_an_account_that_every_answer_denies_is_untouched(run, op, args, answers, touched):
    run.op("init_users", 2, 100)
    for status in answers:
        run.op(op, *args, outcome="fail", status=status, value="no")
    assert user_of(run).touched is touched
