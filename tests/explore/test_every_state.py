"""Every reachable state of small cases: two-phase commit and the saga hold. Without a safeguard: `test_ablations.py`."""

from typing import Any

import pytest

from harness.explore.case import CASES, COPIES, ONE_AFTER_ANOTHER, SHARED, TWICE, TWO_INSTANCES, SearchCase
from tests.explore.exhaustive import ALONE, assert_holds

SEVERAL_SERVICES = ("2pc", "saga")


LONG = [(protocol, case) for protocol in SEVERAL_SERVICES for case in (TWICE, COPIES)]
LONG += [("saga", SHARED), ("2pc", ONE_AFTER_ANOTHER), ("saga", TWO_INSTANCES)]
"""Searches of seconds. Of copies `test_copies.py` has a quicker one."""


def by_time(crashes: int, cases: tuple[SearchCase, ...]) -> list[Any]:
    """Return the parameters of the searches of these cases; a long one, or one of two crashes in two instances, is slow."""
    return [
        pytest.param(
            protocol,
            case,
            id=f"{protocol}-{case.name}",
            marks=[pytest.mark.slow]
            if (protocol, case) in LONG or (crashes > 1 and protocol == "saga" and case.second_instance)
            else [],
        )
        for protocol in SEVERAL_SERVICES
        for case in cases
    ]


@pytest.mark.parametrize(("protocol", "case"), by_time(1, CASES))
def test_a_protocol_of_several_services_holds_with_a_crash(protocol: str, case: SearchCase) -> None:
    assert_holds(protocol, case, crashes=1)


@pytest.mark.parametrize(("protocol", "case"), by_time(2, ALONE))
def test_one_transaction_holds_with_two_crashes(protocol: str, case: SearchCase) -> None:
    assert_holds(protocol, case, crashes=2)
