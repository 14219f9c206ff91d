"""Every reachable state of small cases: two-phase commit holds, and without any one safeguard it does not."""

import pytest

from harness.explore.case import ONE, ONE_AFTER_ANOTHER, SHARED, SHORT, TWICE, Case
from harness.explore.search import Bounds, Found, Search
from protocols.two_phase import PROTOCOL

ONE_CRASH = Bounds(crashes=1, seconds=60)
NO_CRASH = Bounds(crashes=0, hasty=0, seconds=60)
ONE_HASTY = Bounds(crashes=0, hasty=1, seconds=60)

# Which small case shows what the removal of a safeguard opens.
SHOWN_BY: dict[str, tuple[Case, Bounds, str]] = {
    "unanimous": (SHORT, ONE_CRASH, "atomicity"),
    "force-prepare": (SHORT, ONE_CRASH, "atomicity"),
    "force-commit": (ONE, ONE_CRASH, "told yes"),
    "force-committed": (ONE, ONE_CRASH, "atomicity"),
    "end-after-acks": (ONE, ONE_CRASH, "atomicity"),
    "fence-inquiry": (ONE, ONE_CRASH, "atomicity"),
    "replay-verdict": (TWICE, NO_CRASH, "atomicity"),
    "refuse-stale": (SHARED, NO_CRASH, "atomicity"),
    "locks": (SHARED, NO_CRASH, "conservation"),
    "guard": (SHORT, ONE_CRASH, "conservation"),
    "order-lock": (TWICE, NO_CRASH, "atomicity"),
    "deadlock-policy": (SHARED, NO_CRASH, "stuck"),
}


def search(case: Case, bounds: Bounds, locks: str = "wait-die", *ablate: str) -> Found:
    return Search(PROTOCOL, PROTOCOL.configure({"locks": locks}, ablate), case, bounds).run()


ALONE = ((ONE, Bounds(crashes=2, seconds=60)), (SHORT, Bounds(crashes=2, seconds=60)))
TOGETHER = ((TWICE, ONE_HASTY), (SHARED, ONE_HASTY), (ONE_AFTER_ANOTHER, ONE_HASTY))
OTHER_POLICIES = ("no-wait", "wound-wait")


@pytest.mark.parametrize(
    ("locks", "case", "bounds"),
    [
        *(("wait-die", *small) for small in ALONE),
        ("wait-die", SHARED, ONE_HASTY),
        *(pytest.param("wait-die", *small, marks=pytest.mark.slow) for small in TOGETHER if small[0] is not SHARED),
        *((locks, *small) for locks in OTHER_POLICIES for small in ALONE),
        *((locks, SHARED, NO_CRASH) for locks in OTHER_POLICIES),
        *(pytest.param(locks, *small, marks=pytest.mark.slow) for locks in OTHER_POLICIES for small in TOGETHER),
    ],
    ids=lambda value: value.name if isinstance(value, Case) else value if isinstance(value, str) else "",
)
def test_it_holds_in_every_state(locks: str, case: Case, bounds: Bounds) -> None:
    found = search(case, bounds, locks)
    assert (found.violation, found.path) == ("", ())
    assert found.exhausted


@pytest.mark.parametrize("safeguard", [safeguard.name for safeguard in PROTOCOL.safeguards])
def test_without_a_safeguard_it_breaks(safeguard: str) -> None:
    case, bounds, what = SHOWN_BY[safeguard]
    found = search(case, bounds, "wait-die", safeguard)
    assert found.violation.startswith(what)
    assert found.path, "a violation comes with the way to it"


def test_every_safeguard_is_shown() -> None:
    assert set(SHOWN_BY) == {safeguard.name for safeguard in PROTOCOL.safeguards}
