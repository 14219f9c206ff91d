"""No effect twice, and none lost that was acknowledged."""

import pytest

from harness.checkers import atomicity, exactly_once
from harness.checkers.finding import KEPT, Verdict


def found(run):
    return sorted(violation.name for violation in exactly_once.check(run.history()).violations)


@pytest.mark.parametrize("outcomes", [["ok"], ["ok", "ok"], ["unknown", "ok", "ok"], ["fail", "ok"]])
def test_checked_out_again_and_charged_once(checkout_run, outcomes):
    finding = exactly_once.check(checkout_run(outcomes).history())
    assert finding.verdict == Verdict.HOLDS
    assert finding.figures["orders_checked_out_again"] == (len(outcomes) > 1)


@pytest.mark.parametrize(
    ("outcomes", "end", "names"),
    [
        (["unknown", "ok"], {"credit": 80}, ["charged-repeatedly"]),
        (["ok"], {"credit": 70}, ["charged-repeatedly"]),
        (["ok"], {"stock": 16}, ["taken-repeatedly"]),
        (["ok"], {"credit": 80, "stock": 16}, ["charged-repeatedly", "taken-repeatedly"]),
        (["fail"], {"credit": 110, "stock": 20, "paid": False}, ["refunded-without-charge"]),
        (["fail"], {"credit": 100, "stock": 22, "paid": False}, ["returned-without-taking"]),
        (["ok"], {"credit": 100, "stock": 20, "paid": False}, ["acknowledged-checkout-lost"]),
        (["ok"], {"credit": 190}, ["effect-repeated"]),
        (["ok"], {"stock": 38}, ["effect-repeated"]),
        (["ok"], {"stock": -2}, ["acknowledged-effect-lost"]),
    ],
)
def test_twice_and_lost_are_named_here_and_only_here(checkout_run, outcomes, end, names):
    run = checkout_run(outcomes, **end)
    assert found(run) == names
    assert atomicity.check(run.history()).verdict == Verdict.HOLDS


@pytest.mark.parametrize(
    "end", [{"credit": 100}, {"stock": 20}, {"credit": 100, "paid": False}, {"stock": 20, "paid": False}]
)
def test_half_a_checkout_is_none_of_its_business(checkout_run, end):
    run = checkout_run(**end)
    assert found(run) == []
    assert atomicity.check(run.history()).verdict == Verdict.VIOLATED


@pytest.mark.parametrize(
    ("stock", "text"),
    [(-2, "but the final balance does not contain it"), (38, "but the final balance contains it once more")],
)
def test_a_lost_move_and_a_repeated_one_have_their_own_text(checkout_run, stock, text):
    (violation,) = exactly_once.check(checkout_run(stock=stock).history()).violations
    assert violation.explanation.startswith(f"'add_stock 7 20 by process 0: ok', {text}.")


def test_the_number_of_repetitions_is_reported(checkout_run):
    (violation,) = exactly_once.check(checkout_run(credit=70).history()).violations
    assert "was taken 2 times too often for order o" in violation.explanation
    assert violation.keys == ("order o", "user 1")


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([("7", 2)], []),
        ([("7", 1), ("7", 1)], []),
        ([("7", 4)], ["item-added-repeatedly"]),
        ([], ["acknowledged-item-lost"]),
        ([("7", 2), ("9", 1)], ["item-added-repeatedly"]),
    ],
)
def test_what_was_put_into_an_order_is_in_it(checkout_run, run, lines, names):
    run = checkout_run(["fail"], credit=100, stock=20, paid=False)
    run.see_order("o", "1", *lines, paid=False, total=5)
    assert found(run) == names


@pytest.mark.parametrize(("quantity", "fine"), [(2, True), (5, True), (3, False), (7, False)])
def test_an_unknown_add_item_is_there_or_not(checkout_run, quantity, fine):
    run = checkout_run(["fail"], credit=100, stock=20, paid=False)
    run.op("add_item", "o", "7", 3, outcome="unknown", process=8)
    run.see_order("o", "1", ("7", quantity), paid=False, total=5)
    assert (found(run) == []) == fine


@pytest.mark.parametrize(("op", "key"), [("find_user", "1"), ("find_item", "7"), ("find_order", "o")])
def test_what_was_made_and_is_gone_is_lost(checkout_run, op, key):
    run = checkout_run()
    run.op(op, key, outcome="fail", value="no such thing")
    assert found(run) == ["acknowledged-creation-lost"]


def test_a_lost_withdrawal(run):
    run.user("1", 50)
    run.op("pay", "1", 20)
    run.phase("final")
    run.see_user("1", 50)
    assert found(run) == ["acknowledged-effect-lost"]


@pytest.mark.parametrize(
    ("checker", "explainer", "credit"), [(exactly_once, "_multiple", 80), (atomicity, "_partial_effect", 100)]
)
def test_only_as_many_violations_of_a_name_are_explained_as_are_kept(run, monkeypatch, checker, explainer, credit):
    for number in range(KEPT + 2):
        run.user(f"{number}", 100)
        run.item(f"{number}", 20, price=5)
        run.order(f"{number}", f"{number}", (f"{number}", 2))
        run.op("checkout", f"{number}", process=1)
    run.phase("final")
    for number in range(KEPT + 2):
        run.see_user(f"{number}", credit)
        run.see_item(f"{number}", 18, price=5)
        run.see_order(f"{number}", f"{number}", (f"{number}", 2), paid=True, total=10)
    explain, explained = getattr(checker, explainer), []
    monkeypatch.setattr(checker, explainer, lambda *args: explained.append(args) or explain(*args))
    finding = checker.check(run.history())
    assert len(finding.violations) == len(explained) == KEPT
    assert list(finding.figures["violations"].values()) == [KEPT + 2]


def test_an_order_of_which_a_line_was_removed_can_be_lost(checkout_run):
    run = checkout_run(["fail"], credit=100, stock=20, paid=False, end=False)
    run.op("remove_item", "o", "7")
    run.phase("final")
    run.op("find_order", "o", outcome="fail", value="no such thing")
    assert found(run) == ["acknowledged-creation-lost"]
    run.op("remove_order", "o", at=(20, 21))
    assert found(run) == []


def test_another_explanation_that_fits_as_well_is_mentioned(run):
    """If 10 are missing, then the deposit or once the order's amount; 20 are twice the order's amount."""
    run.user("1", 10)
    run.item("7", 20, price=10)
    run.order("o", "1", ("7", 1))
    run.op("checkout", "o", process=1)
    run.phase("final")
    for credit, mentioned in ((-20, False), (-10, True)):
        run.see_user("1", credit)
        run.see_item("7", 19, price=10)
        run.see_order("o", "1", ("7", 1), paid=True, total=10)
        explanations = [violation.explanation for violation in exactly_once.check(run.history()).violations]
        assert ["Another explanation fits" in explanation for explanation in explanations] == [mentioned]
