"""Clocks that were set back may not keep a transaction in doubt. Found by `wdm chaos everything --seed 4`."""

import pytest

from protocols.core import Command
from protocols.registry import load
from protocols.store.twin import Twin

HOUR_MS = 3_600_000
NOW = 10 * HOUR_MS


@pytest.fixture
def twin() -> Twin:
    protocol = load("2pc")
    return Twin(protocol, protocol.configure())


def test_a_coordinator_takes_up_what_it_began_when_its_clock_was_ahead(twin: Twin) -> None:
    twin.run(Command("create_order", ("o", "u")), NOW)
    twin.run(Command("add_item", ("o", "i", 1, 1)), NOW)
    assert twin.run(Command("open", ("t.1", "o", "order-1")), NOW + HOUR_MS)[0] == "open"
    (found,) = twin.run(Command("unfinished", ("order-1", 12_000)), NOW)
    assert found[1][:2] == ("t.1", "open")
    assert twin.run(Command("resolve", ("t.1", 0, "", "")), NOW)[0] == "abort"
    assert twin.run(Command("list_txns"), NOW) == ()


@pytest.mark.parametrize(
    ("ahead_ms", "inquires"), [(HOUR_MS, True), (501, True), (500, False), (-500, False), (-501, True)]
)
def test_a_participant_inquires_about_what_it_prepared_when_its_clock_was_ahead(
    twin: Twin, ahead_ms: int, inquires: bool
) -> None:
    twin.run(Command("create_account", ("item:i", 5, 1)), NOW)
    prepare = ("t.1", "order", "stock/0", 1, (0, 0), (("item:i", -1),), "http://c")
    twin.run(Command("prepare", prepare), NOW + ahead_ms)
    assert bool(twin.run(Command("doubts", ("", 500)), NOW)) is inquires


@pytest.mark.parametrize("state", ["open", "committed"])
@pytest.mark.parametrize("ahead_ms", [HOUR_MS, 1])
def test_what_a_dead_node_wrote_with_a_clock_ahead_is_taken_up_after_patience(
    twin: Twin, state: str, ahead_ms: int
) -> None:
    twin.run(Command("create_order", ("o", "u")), NOW)
    twin.run(Command("open", ("t.1", "o", "order-1")), NOW + ahead_ms)
    if state == "committed":
        twin.run(Command("commit", ("t.1",)), NOW + ahead_ms)
    look = Command("unfinished", ("order-2", 12_000))
    assert twin.run(look, NOW) == twin.run(look, NOW + 12_000) == ()
    ((txn, (_, found, _)),) = twin.run(look, NOW + 12_001)
    assert (txn, found) == ("t.1", state)


@pytest.mark.parametrize("back_ms", [1, HOUR_MS])
def test_an_inquiry_is_pending_for_patience_and_no_longer_whatever_the_coordinators_clock_said(
    twin: Twin, back_ms: int
) -> None:
    twin.run(Command("create_order", ("o", "u")), NOW)
    twin.run(Command("open", ("t.1", "o", "order-1")), NOW + HOUR_MS)
    inquiry = Command("resolve", ("t.1", 12_000, "stock-1", "stock/0"))
    assert twin.run(inquiry, NOW)[0] == "pending"
    assert twin.run(inquiry, NOW - back_ms)[0] == "pending", "set back meanwhile"
    assert twin.run(inquiry, NOW - back_ms + 11_999)[0] == "pending"
    assert twin.run(inquiry, NOW - back_ms + 12_000)[0] == "abort"


def test_a_saga_of_a_dead_node_with_a_clock_ahead_is_taken_up_after_patience() -> None:
    saga = load("saga")
    twin = Twin(saga, saga.configure())
    twin.run(Command("create_order", ("o", "u")), NOW)
    twin.run(Command("begin", ("t.1", "o", "order-1")), NOW + HOUR_MS)
    look = Command("unfinished", ("order-2", 12_000))
    assert twin.run(look, NOW) == twin.run(look, NOW + 12_000) == ()
    assert [txn for txn, _ in twin.run(look, NOW + 12_001)] == ["t.1"]
