"""The searches of two-phase commit alone: lock policies, participants, instances. The others: `test_every_state.py`."""

from dataclasses import replace

import pytest

from harness.explore.case import (
    CASES,
    COPIES,
    ONE,
    ONE_AFTER_ANOTHER,
    SHARED,
    SHORT,
    TWICE,
    SearchCase,
    cases,
)
from tests.explore.exhaustive import TOGETHER, assert_holds

OTHER_LOCKS = ["no-wait", "wound-wait", "escrow"]
LONG = {("no-wait", SHARED.name), ("escrow", SHARED.name)}
LONG |= {(locks, case.name) for locks in OTHER_LOCKS[:2] for case in (TWICE, COPIES, ONE_AFTER_ANOTHER)}
"""Searches without a crash that another lock policy has in the quick tests."""
WITH_OTHER_LOCKS = [
    pytest.param(locks, case, id=f"{locks}-{case.name}", marks=[pytest.mark.slow] if (locks, case.name) in LONG else [])
    for locks in OTHER_LOCKS
    for case in CASES
]


@pytest.mark.slow
@pytest.mark.parametrize("case", TOGETHER, ids=lambda case: case.name)
def test_two_transactions_hold_with_two_crashes(case: SearchCase) -> None:
    assert_holds("2pc", case, crashes=2)


@pytest.mark.parametrize("participants", [1, 3])
@pytest.mark.parametrize("case", [0, 1])
def test_it_holds_for_any_number_of_participants(participants: int, case: int) -> None:
    assert_holds("2pc", cases(participants, 1)[case], crashes=1)


@pytest.mark.parametrize(("locks", "case"), WITH_OTHER_LOCKS)
def test_it_holds_with_the_other_lock_policies(locks: str, case: SearchCase) -> None:
    assert_holds("2pc", case, crashes=0, locks=locks)


@pytest.mark.parametrize("case", [ONE, SHORT], ids=lambda case: case.name)
def test_a_reserved_amount_holds_with_a_crash(case: SearchCase) -> None:
    assert_holds("2pc", case, crashes=1, locks="escrow")


@pytest.mark.slow
@pytest.mark.parametrize("locks", OTHER_LOCKS)
@pytest.mark.parametrize("case", TOGETHER, ids=lambda case: case.name)
def test_it_holds_with_the_other_lock_policies_and_a_crash(locks: str, case: SearchCase) -> None:
    assert_holds("2pc", case, crashes=1, locks=locks)


@pytest.mark.slow
@pytest.mark.parametrize("case", TOGETHER, ids=lambda case: case.name)
def test_it_holds_with_two_instances_at_two_transactions(case: SearchCase) -> None:
    assert_holds("2pc", replace(case, second_instance=True), crashes=1)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(3, 2)[1:], ids=lambda case: case.name)
def test_it_holds_for_three_participants_and_two_transactions(case: SearchCase) -> None:
    assert_holds("2pc", case, crashes=1)
