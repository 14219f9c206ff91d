"""From the operations of clients to transactions, and the explanations of their anomalies."""

import pytest

from harness.checkers import isolation
from harness.checkers.finding import Verdict
from harness.checkers.sets import ALIAS, NOBODYS, find_sets


@pytest.fixture
def shop(run):
    """Users 1 and 2 and item 7, and orders of user 1 with 1, 2 and 4 pieces at 1."""
    run.phase("setup")
    run.user("1", 100)
    run.user("2", 100)
    run.item("7", 100)
    for name, quantity in (("a", 1), ("b", 2), ("c", 4)):
        run.order(name, "1", ("7", quantity))
    run.event("phase", at=100, name="load")
    return run


def found(run):
    return {violation.name: violation for violation in isolation.check(run.history(workload="sets")).violations}


def of_order(sets, name):
    return [txn for txn, origin in zip(sets.txns, sets.origins, strict=True) if getattr(origin, "id", None) == name]


def test_a_history_in_order_holds(shop):
    shop.see_user("1", 100)
    shop.op("checkout", "a", process=1)
    shop.see_user("1", 99)
    shop.op("checkout", "b", process=2, outcome="unknown")
    shop.see_item("7", 97)
    shop.see_user("1", 97)
    shop.op("checkout", "c", process=3, outcome="fail")
    shop.see_order("a", "1", ("7", 1), paid=True, total=1)
    finding = isolation.check(shop.history(workload="sets"))
    assert finding.verdict == Verdict.HOLDS
    assert finding.figures["transactions"] == 8
    assert finding.figures["keys"] == 2


def test_checkouts_become_elements_and_balances_states(shop):
    shop.op("checkout", "a", at=(200, 210), process=1)
    shop.op("checkout", "c", at=(205, 215), process=2, outcome="unknown")
    shop.see_user("1", 95, at=(220, 230), process=3)
    shop.see_order("a", "1", ("7", 1), paid=True, total=1)
    shop.see_user("2", 100)
    sets = find_sets(shop.history())
    (a,), (c,) = of_order(sets, "a"), of_order(sets, "c")
    assert a.adds == (("user 1", 1), ("item 7", 1), ("order a", 1))
    assert (a.status, a.process, a.invoked_ns, a.completed_ns) == ("committed", 1, 200_000_000, 210_000_000)
    assert c.adds == (("user 1", 4), ("item 7", 4), ("order c", 1))
    assert (c.status, c.completed_ns) == ("unknown", None)
    assert of_order(sets, "b") == []
    assert [txn.reads for txn in sets.txns if txn.reads] == [(("user 1", 5),), (("order a", 1),)]


def test_a_balance_read_before_it_was_filled_is_no_state(run):
    run.op("create_user", value={"user_id": "1"})
    run.see_user("1", 0)
    run.op("add_funds", "1", 100)
    run.item("7", 100)
    run.order("a", "1", ("7", 1))
    run.op("checkout", "a", process=1)
    run.see_user("1", 99)
    assert [txn.reads for txn in find_sets(run.history()).txns if txn.reads] == [(("user 1", 1),)]
    assert found(run) == {}


def test_all_checkouts_of_an_order_are_one(shop):
    shop.op("checkout", "a", at=(200, 250), process=1, outcome="unknown")
    shop.op("checkout", "a", at=(260, 300), process=2)
    shop.op("checkout", "a", at=(310, 400), process=2)
    shop.see_user("1", 99)
    (a,) = of_order(find_sets(shop.history()), "a")
    assert (a.process, a.invoked_ns, a.completed_ns) == (-1, 200_000_000, 300_000_000)


def test_a_refused_checkout_seen_before_a_later_success_is_a_dirty_read(shop):
    shop.op("checkout", "a", at=(200, 210), process=1, outcome="fail")
    shop.see_user("1", 99, at=(205, 215), process=2)
    shop.see_user("1", 100, at=(216, 218), process=2)
    shop.op("checkout", "a", at=(220, 230), process=1)
    shop.see_user("1", 99, at=(240, 250), process=2)
    refused = [txn for txn in find_sets(shop.history()).txns if txn.status == "aborted"]
    assert [element for txn in refused for _, element in txn.adds] == [ALIAS, ALIAS]
    assert set(found(shop)) == {"G1a"}
    assert "was rejected" in found(shop)["G1a"].explanation


def test_an_unknown_checkout_of_an_order_that_is_unpaid_at_the_end_did_not_happen(shop):
    """A saga took the item, then undid it: the read is dirty, but no write is lost."""
    shop.op("checkout", "a", at=(200, 290), process=1, outcome="unknown")
    shop.see_item("7", 99, at=(210, 220), process=2)
    shop.op("checkout", "b", at=(230, 240), process=3)
    shop.see_user("1", 98, at=(250, 260), process=2)
    shop.see_item("7", 97, at=(250, 260), process=4)
    assert set(found(shop)) == {"G0"}
    shop.phase("final")
    shop.see_order("a", "1", ("7", 1), paid=False, total=1)
    assert set(found(shop)) == {"G1a"}


def test_a_balance_above_its_opening_is_garbage(shop):
    shop.op("checkout", "a", process=1)
    shop.see_user("1", 101)
    assert find_sets(shop.history()).txns[-1].reads == (("user 1", NOBODYS),)
    assert "garbage-read" in found(shop)


def test_a_balance_above_its_opening_is_garbage_beside_a_refused_checkout(shop):
    shop.op("checkout", "a", at=(200, 210), process=1, outcome="fail")
    shop.see_user("1", 101, at=(211, 212), process=2)
    shop.op("checkout", "a", at=(220, 230), process=1)
    shop.see_user("1", 99, at=(240, 250), process=2)
    assert set(found(shop)) == {"garbage-read"}


@pytest.mark.parametrize(("end", "seen"), [(219, ALIAS), (220, 1)])
def test_a_read_that_ends_when_the_success_begins_may_show_it(shop, end, seen):
    shop.op("checkout", "a", at=(200, 210), process=1, outcome="fail")
    shop.see_user("1", 99, at=(205, end), process=2)
    shop.op("checkout", "a", at=(220, 230), process=1)
    assert [reads for reads in (txn.reads for txn in find_sets(shop.history()).txns) if reads] == [(("user 1", seen),)]


@pytest.mark.parametrize(("begin", "keys"), [(110, 1), (111, 2)])
def test_a_balance_is_a_set_if_no_checkout_begins_before_the_end_of_its_last_deposit(shop, begin, keys):
    """The stock is one in any case."""
    shop.op("add_funds", "1", 5, at=(105, 111))
    shop.op("checkout", "a", at=(begin, 120), process=1)
    shop.see_user("1", 104)
    shop.see_item("7", 99)
    sets = find_sets(shop.history())
    assert (sets.keys if sets else 1) == keys


@pytest.mark.parametrize(("begin", "states"), [(110, []), (111, [(("user 1", 0),)])])
def test_a_read_is_a_state_if_it_begins_after_the_last_deposit(shop, begin, states):
    shop.op("add_funds", "1", 5, at=(105, 111))
    shop.see_user("1", 105, at=(begin, 112), process=2)
    shop.op("checkout", "a", at=(113, 120), process=1)
    assert [txn.reads for txn in find_sets(shop.history()).txns if txn.reads] == states


def test_an_unpaid_order_is_an_empty_set_and_a_free_one_has_no_other_element(shop):
    shop.item("8", 10, price=0)
    shop.order("free", "1", ("8", 1))
    shop.op("checkout", "free", process=1)
    shop.op("checkout", "a", process=1)
    shop.see_order("a", "1", ("7", 1), paid=False, total=1)
    shop.see_user("1", 99)
    sets = find_sets(shop.history())
    assert [txn.reads for txn in sets.txns if txn.reads] == [(("user 1", 1),), (("order a", 0),)]
    assert of_order(sets, "free")[0].adds == (("item 8", 1), ("order free", 1))


def test_a_stale_read_is_explained_edge_by_edge(shop):
    shop.op("checkout", "a", at=(200, 210), process=1)
    stale = shop.see_item("7", 100, at=(220, 230), process=2)
    shop.see_item("7", 99, at=(240, 250), process=3)
    violation = found(shop)["G-single-realtime"]
    name = next(index for index, o in enumerate(find_sets(shop.history()).origins) if o is stale)
    assert violation.keys == ("item 7",)
    assert (
        f"R{name} (find_item 7 by process 2) came before T0 (checkout of order a), "
        "because it did not see it in item 7." in violation.explanation
    )
    assert (
        f"T0 (checkout of order a) came before R{name} (find_item 7 by process 2): "
        "it ended at 0.209 s, before 0.219 s, when the other began." in violation.explanation
    )
    assert [op.op for op in violation.evidence] == ["add_item", "checkout", "find_item"]


def test_the_order_of_writes_is_explained_with_a_witness(shop):
    """User 1 was charged for a before b, item 7 was taken for b before a."""
    shop.op("checkout", "a", at=(200, 300), process=1)
    shop.op("checkout", "b", at=(200, 300), process=2)
    shop.see_user("1", 99, at=(210, 211), process=3)
    shop.see_item("7", 98, at=(210, 211), process=4)
    violation = found(shop)["G0"]
    assert set(violation.keys) == {"user 1", "item 7"}
    assert (
        "T1 (checkout of order b) wrote user 1 after T0 (checkout of order a), "
        "because R2 (find_user 1 by process 3) saw T0 but not T1." in violation.explanation
    )
    assert (
        "T0 (checkout of order a) wrote item 7 after T1 (checkout of order b), "
        "because R3 (find_item 7 by process 4) saw T1 but not T0." in violation.explanation
    )


def test_a_client_that_sees_half_of_a_checkout(shop):
    shop.op("checkout", "a", at=(200, 300), process=1)
    shop.see_user("1", 99, at=(210, 220), process=2)
    shop.see_item("7", 100, at=(220, 240), process=2)
    violation = found(shop)["G-single-process"]
    assert "process 2 did one after the other" in violation.explanation
    assert "came after T0 (checkout of order a), because it saw it in user 1" in violation.explanation


def test_an_acknowledged_checkout_that_no_later_read_sees(shop):
    shop.op("checkout", "a", at=(200, 210), process=1)
    shop.op("checkout", "b", at=(200, 210), process=2)
    shop.see_user("1", 98, at=(220, 230))
    assert "was acknowledged, but no later read of user 1 saw it" in found(shop)["lost-update-realtime"].explanation


def plain(run):
    """Ambiguous amounts: two checkouts of 3."""
    for name in "xy":
        run.user(name, 100)
        run.order(name, name, ("7", 3))
        run.op("checkout", name, process=1)
    run.see_item("7", 94)
    run.see_user("x", 97)


def topped_up(run):
    run.op("checkout", "a", process=1)
    run.op("add_funds", "1", 5)
    run.op("add_stock", "7", 5)
    run.see_user("1", 104)


def uncertain(run):
    run.op("add_funds", "1", 5, outcome="unknown", process=9)
    run.op("add_stock", "7", 5, outcome="unknown", process=10)
    run.op("checkout", "a", process=1)
    run.see_user("1", 99)


def opaque(run):
    run.op("add_item", "a", "7", 8, outcome="unknown", process=9)
    run.op("checkout", "a", process=1)
    run.see_user("1", 99)


def twins(run):
    """Two orders of the same amount."""
    run.order("t", "1", ("7", 1))
    run.op("checkout", "a", process=1)
    run.op("checkout", "t", process=2)
    run.see_user("1", 98)


def half(run):
    """The user's credit is a set, the item's stock is not."""
    run.op("checkout", "a", process=1)
    run.op("add_stock", "7", 5)
    run.see_user("1", 99)


def untried(_run):
    """No checkout at all."""


def unread(run):
    run.op("checkout", "a", process=1)


@pytest.mark.parametrize("spoil", [plain, topped_up, uncertain, opaque, unread, untried, twins, half])
def test_ambiguous_amounts_are_not_applicable(shop, spoil):
    spoil(shop)
    finding = isolation.check(shop.history())
    assert finding.verdict == Verdict.NOT_APPLICABLE
    assert finding.reasons


def test_one_key_that_is_no_set_is_skipped(shop):
    shop.order("d", "2", ("7", 8))
    shop.op("add_funds", "2", 9, outcome="unknown", process=9)
    shop.op("checkout", "d", process=1)
    shop.op("checkout", "a", process=2)
    shop.see_user("1", 99)
    shop.see_user("2", 1)
    finding = isolation.check(shop.history())
    assert finding.verdict == Verdict.HOLDS
    assert (finding.figures["keys"], finding.figures["keys_skipped"]) == (2, 1)
    assert of_order(find_sets(shop.history()), "d")[0].adds == (("item 7", 8), ("order d", 1))
