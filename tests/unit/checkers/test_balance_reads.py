"""The reads of a balance that are judged, and those that are only counted."""

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
