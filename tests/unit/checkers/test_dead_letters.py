"""The dead letters are the injected poison messages, and no others."""

import pytest

from harness.checkers import dead_letters, judge
from harness.checkers.finding import Verdict


def look(run, **seen):
    run.event("fault-start", fault="poison", target="stock", settings={}, said="aa")
    run.event("fault-start", fault="poison", target="order", settings={}, said="bb")
    run.event("dead-letters", **seen)
    return dead_letters.check(run.history())


def test_what_was_planted_and_nothing_else_holds(run):
    finding = look(run, planted=["order bb", "stock aa"], others=0, seen=[])
    assert (finding.verdict, finding.figures["planted"]) == (Verdict.HOLDS, 2)


@pytest.mark.parametrize(
    ("seen", "name"),
    [
        ({"planted": ["order bb", "stock aa"], "others": 1, "seen": ["b'x'"]}, "message-dead-lettered"),
        ({"planted": ["order bb"], "others": 0, "seen": []}, "poison-not-dead-lettered"),
    ],
)
def test_what_is_too_much_or_missing_is_a_violation(run, seen, name):
    finding = look(run, **seen)
    assert [violation.name for violation in finding.violations] == [name]
    (result,) = judge(run.history(), {"dead-letters": dead_letters}).results
    assert result.standing == "claimed-and-violated"


def test_a_broker_that_cannot_be_read_is_unknown(run):
    assert look(run, unknown="it is gone").verdict == Verdict.UNKNOWN


def test_without_a_broker_there_is_nothing_to_judge(run):
    assert dead_letters.check(run.history()).verdict == Verdict.NOT_APPLICABLE
