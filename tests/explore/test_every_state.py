"""Every reachable state of small cases: two-phase commit and the saga hold. Without a safeguard: `test_ablations.py`."""

import pytest

from harness.explore.case import CASES, COPIES, SearchCase
from tests.explore.exhaustive import ALONE, assert_holds

SEVERAL_SERVICES = ("2pc", "saga")


CASES_BY_TIME = [pytest.param(case, marks=[pytest.mark.slow] if case is COPIES else []) for case in CASES]
"""Of copies `test_copies.py` has a quicker search."""


@pytest.mark.parametrize("case", CASES_BY_TIME, ids=lambda case: case.name)
@pytest.mark.parametrize("protocol", SEVERAL_SERVICES)
def test_a_protocol_of_several_services_holds_with_a_crash(protocol: str, case: SearchCase) -> None:
    assert_holds(protocol, case, crashes=1)


@pytest.mark.parametrize("case", ALONE, ids=lambda case: case.name)
@pytest.mark.parametrize("protocol", SEVERAL_SERVICES)
def test_one_transaction_holds_with_two_crashes(protocol: str, case: SearchCase) -> None:
    assert_holds(protocol, case, crashes=2)
