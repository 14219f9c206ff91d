"""All effects of a checkout or none, and every answer to a client is true."""

import pytest

from harness.checkers import atomicity
from harness.checkers.finding import Verdict


def found(run, **claims):
    return sorted(violation.name for violation in atomicity.check(run.history(**claims)).violations)


@pytest.mark.parametrize(
    ("outcomes", "end"),
    [
        (["ok"], {}),
        (["fail"], {"credit": 100, "stock": 20, "paid": False}),
        (["unknown"], {}),
        (["unknown"], {"credit": 100, "stock": 20, "paid": False}),
        (["fail", "unknown", "ok", "ok"], {}),
    ],
)
def test_all_or_nothing_holds(checkout_run, outcomes, end):
    finding = atomicity.check(checkout_run(outcomes, **end).history())
    assert finding.verdict == Verdict.HOLDS
    assert finding.figures["orders_tried"] == 1


@pytest.mark.parametrize(
    ("outcomes", "end", "names"),
    [
        (["fail"], {"stock": 20, "paid": False}, ["charged-but-unpaid"]),
        (["unknown"], {"credit": 100, "paid": False}, ["taken-but-unpaid"]),
        (["ok"], {"paid": False}, ["charged-but-unpaid", "taken-but-unpaid"]),
        (["ok"], {"credit": 100}, ["paid-but-not-charged"]),
        (["ok"], {"stock": 20}, ["paid-but-not-taken"]),
        (["ok"], {"credit": 93}, ["unexplained-credit"]),
        (["ok"], {"stock": 11}, ["unexplained-stock"]),
        (["fail", "fail"], {}, ["refused-but-paid"]),
        ([], {}, ["paid-without-checkout"]),
    ],
)
def test_half_a_checkout_is_named(checkout_run, outcomes, end, names):
    assert found(checkout_run(outcomes, **end)) == names


def test_the_order_and_its_operations_are_in_time_order(checkout_run):
    run = checkout_run(["unknown", "fail"], stock=20, paid=False)
    (violation,) = atomicity.check(run.history()).violations
    assert violation.keys == ("order o", "user 1")
    assert "order o is not paid, but its 10 credit of user 1 is gone." in violation.explanation
    assert "Its checkouts were answered: unknown, fail." in violation.explanation
    assert [op.op for op in violation.evidence] == [
        *(
            "create_user",
            "add_funds",
            "create_order",
            "add_item",
            "checkout",
            "checkout",
            "find_user",
            "find_order",
        )
    ]
    assert "5. 0.013 s (+1.0 ms) checkout o by process 0: unknown" in violation.explanation


def two_orders(run, credit, *paid):
    """Orders of 10 and of 20 of one user, both answered unknown."""
    run.user("1", 100)
    run.item("7", 20, price=10)
    run.order("a", "1", ("7", 1))
    run.order("b", "1", ("7", 2))
    run.op("checkout", "a", outcome="unknown", process=1)
    run.op("checkout", "b", outcome="unknown", process=2)
    run.phase("final")
    run.see_user("1", credit)
    run.see_item("7", 20 - sum(quantity for name, quantity in (("a", 1), ("b", 2)) if name in paid), price=10)
    run.see_order("a", "1", ("7", 1), paid="a" in paid, total=10)
    run.see_order("b", "1", ("7", 2), paid="b" in paid, total=20)
    return run


@pytest.mark.parametrize(
    ("credit", "paid", "orders"),
    [
        (90, [], ["a"]),
        (80, [], ["b"]),
        (70, [], ["a", "b"]),
        (80, ["a", "b"], ["a"]),
        (100, ["a", "b"], ["a", "b"]),
    ],
)
def test_the_amount_decides_between_several_orders(run, credit, paid, orders):
    violations = atomicity.check(two_orders(run, credit, *paid).history()).violations
    assert sorted(violation.keys[0] for violation in violations) == [f"order {name}" for name in orders]


def test_several_orders_rather_than_one_repeatedly(run):
    """20 are gone: for the orders of 5 and 15, or twice for that of 10."""
    run.user("1", 100)
    run.item("7", 90, price=5)
    for name, quantity in (("a", 2), ("b", 1), ("c", 3)):
        run.order(name, "1", ("7", quantity))
        run.op("checkout", name, outcome="fail", process=1)
    run.phase("final")
    run.see_user("1", 80)
    run.see_item("7", 90, price=5)
    for name, quantity in (("a", 2), ("b", 1), ("c", 3)):
        run.see_order(name, "1", ("7", quantity), paid=False, total=5 * quantity)
    assert found(run) == ["charged-but-unpaid", "charged-but-unpaid"]


def test_an_effect_that_is_there_unbelievably_often_is_unexplained(checkout_run):
    assert found(checkout_run(credit=50)) == ["unexplained-credit"]


def test_what_an_order_of_unknown_contents_may_have_taken_is_unknown(checkout_run):
    run = checkout_run(credit=85, stock=17)
    run.operations.pop()
    run.op("add_item", "o", "7", 1, outcome="unknown", process=9, at=(5, 6))
    finding = atomicity.check(run.history())
    assert finding.verdict == Verdict.UNKNOWN
    assert "2 balances could not be judged: user 1, item 7" in finding.reasons


def test_the_charged_order_is_the_first_suspect_for_the_stock(run):
    """Orders b and c look the same from item 7, but only the user of c has lost money."""
    run.item("7", 20, price=10)
    for name in "abc":
        run.user(name, 50)
        run.order(name, name, ("7", 1))
        run.op("checkout", name, outcome="fail", process=1)
    run.phase("final")
    for name in "abc":
        run.see_user(name, 40 if name == "c" else 50)
        run.see_order(name, name, ("7", 1), paid=False, total=10)
    run.see_item("7", 19, price=10)
    violations = atomicity.check(run.history()).violations
    assert [(v.name, v.keys[0]) for v in violations] == [
        ("charged-but-unpaid", "order c"),
        ("taken-but-unpaid", "order c"),
    ]
    assert "Other orders" not in violations[0].explanation
    assert "Other orders" in violations[1].explanation


def test_an_unknown_deposit_may_explain_a_balance(checkout_run, run):
    run.op("add_funds", "1", 7, outcome="unknown", process=50)
    for credit, names in ((97, []), (90, []), (94, ["unexplained-credit"])):
        run.operations = run.operations[:1]
        assert found(checkout_run(credit=credit)) == names


@pytest.mark.parametrize(
    "spoil",
    [
        lambda run: run.events.clear(),
        lambda run: run.operations.pop(),
        lambda run: run.operations.pop(-2),
        lambda run: run.op("find_user", "1", outcome="ok", value="<html>"),
        lambda run: run.op("find_order", "o", outcome="ok", value={"paid": "yes"}),
        lambda run: run.op("find_item", "7", outcome="ok", value={"stock": "18"}),
    ],
)
def test_what_could_not_be_read_is_unknown(checkout_run, spoil):
    run = checkout_run()
    spoil(run)
    finding = atomicity.check(run.history())
    assert finding.verdict == Verdict.UNKNOWN
    assert finding.reasons


def test_a_read_without_an_answer_does_not_spoil_the_one_before(checkout_run):
    run = checkout_run()
    run.op("find_user", "1", outcome="unknown")
    assert atomicity.check(run.history()).verdict == Verdict.HOLDS


def test_no_checkout_at_all_is_unknown(run):
    run.user("1", 5)
    run.phase("final")
    run.see_user("1", 5)
    assert atomicity.check(run.history()).verdict == Verdict.UNKNOWN


def test_made_orders_are_known_by_their_reads(run):
    run.op("init_users", 3, 100)
    run.op("init_items", 2, 50, 5)
    run.op("init_orders", 2, 2, 3, 5)
    run.op("checkout", "0", process=1)
    run.op("checkout", "1", process=2)
    run.phase("final")
    run.see_order("0", "2", ("0", 1), ("0", 1), paid=True, total=10)
    run.see_order("1", "1", ("0", 1), ("1", 1), paid=True, total=10)
    run.see_user("1", 90)
    run.see_user("2", 100)
    run.see_item("0", 47, price=5)
    run.see_item("1", 49, price=5)
    (violation,) = atomicity.check(run.history()).violations
    assert (violation.name, violation.keys) == ("paid-but-not-charged", ("order 0", "user 2"))


def test_an_order_without_a_final_read_may_be_paid_or_not(checkout_run):
    """Its user and item are known from its additions; both outcomes are possible, and no other balance."""
    for end, verdict in (
        ({}, "unknown"),
        ({"credit": 100, "stock": 20}, "unknown"),
        ({"credit": 95}, "violated"),
    ):
        run = checkout_run(["unknown"], **end)
        run.operations.pop()
        assert atomicity.check(run.history()).verdict == verdict
        run.operations.clear()


def test_an_order_that_the_shop_has_forgotten_is_no_order_that_could_not_be_read(checkout_run):
    """The exactly-once checker reports the loss; the atomicity checker has no doubt."""
    run = checkout_run(credit=100, stock=20)
    run.operations.pop()
    run.op("find_order", "o", outcome="fail", value="unknown order")
    assert atomicity.check(run.history()).reasons == ()
