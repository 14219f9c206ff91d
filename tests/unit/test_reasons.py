"""A reason reads back as it was written, whatever colons a key has, and names its key and holder."""

import pytest

from protocols.outcomes import Decision, Outcome, Reason


@pytest.mark.parametrize(
    ("text", "reason", "decision"),
    [
        ("timeout", Reason("timeout"), Decision.REFUSED),
        ("short:item:a:b", Reason("short", "item:a:b"), Decision.REFUSED),
        ("missing:order:7", Reason("missing", "order:7"), Decision.REFUSED),
        ("locked:item:a:b:order-1~3.7", Reason("locked", "item:a:b", "order-1~3.7"), Decision.CONFLICT),
        ("busy:order-1~3.7", Reason("busy", holder="order-1~3.7"), Decision.CONFLICT),
        ("conflict:wounded", Reason("conflict", "wounded"), Decision.CONFLICT),
    ],
)
def test_a_reason_reads_back_as_it_was_written(text: str, reason: Reason, decision: Decision) -> None:
    assert Reason.parse(text) == reason
    assert str(reason) == text
    assert Outcome.rejected(text) == Outcome(decision, reason)


def test_a_commit_has_no_reason() -> None:
    assert str(Outcome(Decision.COMMITTED).reason) == ""
