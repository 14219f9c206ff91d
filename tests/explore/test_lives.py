"""A coordinator that restarts: messages and commands of its former lives have no effect.

The horizon of a life records that every transaction of former lives has ended. Two rules make that true; each is
removed here, and the search shows the violation.
"""

from dataclasses import replace

import pytest

from harness.explore.case import ONE_AFTER_ANOTHER, SearchCase
from harness.explore.search import Bounds, Search, SearchResult
from protocols.registry import load
from protocols.saga import commands as saga
from protocols.shop import ledger_orders
from protocols.store import fences
from protocols.store.lives import parts
from protocols.store.tables import Tables
from protocols.two_phase import commands as two_phase
from tests.runtimes import EVERY_PROTOCOL

LATE_LIVES = replace(ONE_AFTER_ANOTHER, sequential=False, late_commands=True)
"""The second order may be checked out by a new life while commands of the former one are still on their way."""


def search(protocol: str, case: SearchCase) -> SearchResult:
    return Search(load(protocol), load(protocol).configure(), case, Bounds(crashes=1)).run()


@pytest.mark.parametrize(
    "protocol", [pytest.param(name, marks=() if name == "lua" else pytest.mark.slow) for name in EVERY_PROTOCOL]
)
def test_late_commands_of_a_former_life_change_nothing(protocol: str) -> None:
    found = search(protocol, LATE_LIVES)
    assert (found.violation, found.exhausted) == ("", True)


@pytest.mark.slow
def test_nor_beside_a_second_instance() -> None:
    """Of two-phase commit: a saga's case has so many states that five minutes do not search it."""
    found = search("2pc", replace(LATE_LIVES, second_instance=True))
    assert (found.violation, found.exhausted) == ("", True)


def blind_to_former_lives(tables: Tables, txn: str) -> bool:
    """`stale` with the horizon of the transaction's own life only."""
    instance, point = parts(txn)
    life, sequence = tables.get("horizon", {}).get(instance, (0, 0))
    return point[0] == life and point < (life, sequence)


@pytest.mark.parametrize("protocol", ["2pc", "saga"])
def test_a_message_of_a_life_below_the_horizon_has_to_be_refused(
    monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    for module in (fences, two_phase, saga):
        monkeypatch.setattr(module, "stale", blind_to_former_lives)
    assert search(protocol, ONE_AFTER_ANOTHER).unsafe


@pytest.mark.slow
def test_a_former_life_must_not_begin_a_saga(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recovered below the horizon, a saga would be performed at one branch, be stale at the other, and never be compensated."""
    monkeypatch.setattr(ledger_orders, "superseded", lambda _tables, _config, _txn: False)
    assert search("saga", LATE_LIVES).violation.startswith("atomicity")


@pytest.mark.parametrize("protocol", ["2pc", "saga"])
def test_fences_of_former_lives_that_stay_are_found(monkeypatch: pytest.MonkeyPatch, protocol: str) -> None:
    monkeypatch.setattr(fences, "_drop_lives", lambda *_: None)
    assert search(protocol, ONE_AFTER_ANOTHER).violation.startswith("unfinished")
