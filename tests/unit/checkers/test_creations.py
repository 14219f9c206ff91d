"""The creations and removals of entities, at the boundaries of their times."""

import pytest

from harness.checkers.creations import find_creations


def is_known(run, kind, read):
    return find_creations(run.history()).is_known(kind, str(read.args[0]), read)


@pytest.mark.parametrize(("begin", "known"), [(10, False), (11, True)])
def test_an_entity_is_known_after_the_end_of_its_creation(run, begin, known):
    run.op("create_order", "1", value={"order_id": "o"}, at=(5, 10))
    assert is_known(run, "order", run.op("find_order", "o", at=(begin, 20))) == known


@pytest.mark.parametrize(("begin", "known"), [(19, False), (20, True), (21, True)])
@pytest.mark.parametrize("outcome", ["ok", "unknown"])
def test_an_order_is_unknown_once_a_removal_may_have_begun(run, begin, known, outcome):
    run.op("create_order", "1", value={"order_id": "o"}, at=(5, 10))
    read = run.op("find_order", "o", at=(11, 20))
    run.op("remove_order", "o", at=(begin, 30), outcome=outcome)
    assert is_known(run, "order", read) == known


def test_a_rejected_removal_removes_nothing(run):
    run.op("create_order", "1", value={"order_id": "o"})
    run.op("remove_order", "o", outcome="fail")
    assert is_known(run, "order", run.op("find_order", "o"))


@pytest.mark.parametrize(
    ("name", "known"), [("0", True), ("2", True), ("3", False), ("02", False), ("-1", False), ("²", False)]
)
def test_a_batch_init_creates_the_numbers_below_its_count(run, name, known):
    run.op("init_users", 3, 100)
    assert is_known(run, "user", run.op("find_user", name)) == known


@pytest.mark.parametrize(
    ("begin", "end", "prices"),
    [
        (0, 20, {5}),
        (0, 21, {5, 7}),
        (30, 40, {5, 7}),
        (31, 40, {7}),
    ],
)
def test_a_price_may_be_that_of_each_creation_that_was_not_replaced(run, begin, end, prices):
    run.op("init_items", 2, 9, 5, at=(1, 10))
    run.op("init_items", 2, 9, 7, at=(20, 30))
    ms = 1_000_000
    assert find_creations(run.history()).prices("1", begin * ms, end * ms) == prices


def test_the_only_price_counts_at_any_time(run):
    run.op("create_item", 5, value={"item_id": "7"}, at=(10, 20))
    assert find_creations(run.history()).prices("7", 0, 1) == {5}


def test_prices_of_creations_that_overlap_are_both_possible(run):
    run.op("init_items", 2, 9, 5, at=(1, 20))
    run.op("init_items", 2, 9, 7, at=(20, 30), process=1)
    assert find_creations(run.history()).prices("1", 10**9, 2 * 10**9) == {5, 7}
