"""Two copies of a checkout, and enough credit only after a rejection: a rejection is final for all copies of a request."""

import pytest

from harness.explore.case import COPIES
from harness.explore.search import Bounds, Search
from protocols.registry import load


@pytest.mark.parametrize("protocol", ["saga", "lua"])
def test_a_rejection_is_final_for_all_copies(protocol: str) -> None:
    loaded = load(protocol)
    found = Search(loaded, loaded.configure(), COPIES, Bounds(crashes=0)).run()
    assert (found.violation, found.exhausted) == ("", True)


@pytest.mark.parametrize(
    ("protocol", "safeguard"),
    [
        *((protocol, "recall-rejection") for protocol in ("2pc", "saga", "lua")),
        *((protocol, "reject-decided") for protocol in ("2pc", "saga")),
    ],
)
def test_without_the_safeguard_a_copy_pays_a_rejected_order(protocol: str, safeguard: str) -> None:
    loaded = load(protocol)
    found = Search(loaded, loaded.configure(ablate=(safeguard,)), COPIES, Bounds(crashes=0)).run()
    assert found.invariant == "false rejection"
    assert "conclude" in [step.kind for step in found.path]
