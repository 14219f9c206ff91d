"""The reads of a balance that are judged, and those that are only counted."""

import pytest

from harness.checkers import balance_reads


def test_a_read_during_a_reset_is_counted_as_skipped(run):
    run.op("init_users", 3, 100)
    run.see_user("1", 100)
    run.op("init_users", 3, 50, at=(10, 20))
    run.see_user("1", 50, at=(12, 14))
    run.see_user("1", 50)
    finding = balance_reads.check(run.history())
    assert (finding.figures["reads"], finding.figures["reads_skipped"]) == (2, 1)
    assert not finding.violations


@pytest.mark.parametrize(("begin", "skipped"), [(20, 1), (21, 0)])
def test_a_reset_that_begins_when_another_ends_leaves_the_balance_unknown(run, begin, skipped):
    run.op("init_users", 3, 100, at=(10, 20))
    run.op("init_users", 3, 50, at=(begin, 30))
    run.see_user("1", 50)
    assert balance_reads.check(run.history()).figures["reads_skipped"] == skipped


def test_reads_of_an_account_without_a_creation_are_counted_as_skipped(run):
    run.user("1", 50)
    run.see_user("1", 50)
    run.see_user("stranger", 7)
    finding = balance_reads.check(run.history())
    assert (finding.figures["reads"], finding.figures["reads_skipped"]) == (1, 1)
