"""Late commands: connections to stores break, and a command sent on them may still arrive.

The search found that a late copy of the first command began a transaction again that two-phase commit had aborted, or a saga
had compensated.
"""

from dataclasses import replace

import pytest

from harness.explore.case import LATE, ONE, RENEWED, TWICE, SearchCase
from harness.explore.search import Bounds, Search
from protocols.core import Command, Protocol
from protocols.registry import load
from protocols.store.twin import Twin
from tests.runtimes import EVERY_PROTOCOL

LATE_CASES = {
    "late": LATE,
    "enough credit": replace(ONE, late_commands=True),
    "late-two instances": replace(LATE, second_instance=True),
    "renewed": RENEWED,
    "renewed-two instances": replace(RENEWED, second_instance=True),
}
LONG = {("saga", "late-two instances"), ("saga", "renewed-two instances"), ("2pc", "renewed")}


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, case, id=f"{name}-{known}", marks=[pytest.mark.slow] if (name, known) in LONG else [])
        for name in EVERY_PROTOCOL
        for known, case in LATE_CASES.items()
    ],
)
def test_what_arrives_late_changes_nothing(name: str, case: SearchCase) -> None:
    protocol = load(name)
    found = Search(protocol, protocol.configure(), case, Bounds(crashes=1)).run()
    assert (found.violation, found.exhausted) == ("", True)


RICH = tuple(replace(account, balance=5, deposit=0) for account in RENEWED.accounts)
RENEWED_TWICE = replace(RENEWED, checkouts=("0", "0"), accounts=RICH, sequential=True)


@pytest.mark.parametrize("name", EVERY_PROTOCOL)
def test_nor_is_another_order_of_the_same_number_charged_for_the_former(name: str) -> None:
    protocol = load(name)
    found = Search(protocol, protocol.configure(), RENEWED_TWICE, Bounds(crashes=0)).run()
    assert (found.violation, found.exhausted) == ("", True)


@pytest.mark.slow
@pytest.mark.parametrize("name", EVERY_PROTOCOL)
def test_nor_with_two_checkouts_of_one_order(name: str) -> None:
    protocol = load(name)
    found = Search(protocol, protocol.configure(), replace(TWICE, late_commands=True), Bounds(crashes=0)).run()
    assert (found.violation, found.exhausted) == ("", True)


def test_a_deposit_is_made_once_and_is_no_creation_of_value() -> None:
    protocol = load("unprotected")
    search = Search(protocol, protocol.configure(), replace(LATE, late_commands=False), Bounds(crashes=0))
    after = [state for step, state in search.successors(search.initial) if step.kind == "deposit"]
    assert len(after) == 1
    assert not search.safety_violation(after[0].node_states)
    assert not [step for step, _ in search.successors(after[0]) if step.kind == "deposit"]


def begun(protocol: Protocol) -> tuple[Twin, str]:
    """A store with an order, and the command that begins a transaction there."""
    twin = Twin(protocol, protocol.configure())
    for command in (Command("create_order", ("o", "u")), Command("add_item", ("o", "i", 1, 1))):
        twin.run(command, 0)
    return twin, "open" if "open" in protocol.commands else "begin"


@pytest.mark.parametrize(("name", "ended"), [("2pc", ("close", "t.1")), ("saga", ("end", "t.1", ()))])
def test_what_is_over_is_not_begun_again(name: str, ended: tuple[str, ...]) -> None:
    twin, command = begun(load(name))
    first, again = Command(command, ("t.1", "o", "order-1")), Command(command, ("t.2", "o", "order-1"))
    assert twin.run(first, 0)[0] in ("open", "begun")
    assert twin.run(first, 0)[0] in ("open", "begun"), "its answer was lost, and the command is sent again"
    twin.run(Command(ended[0], ended[1:]), 0)
    assert twin.run(first, 0) == ("busy", "t.1")
    assert twin.run(again, 0)[0] in ("open", "begun")


@pytest.mark.parametrize(("name", "ended"), [("2pc", ("close", "t.1")), ("saga", ("end", "t.1", ()))])
def test_another_order_of_its_number_does_not_begin_what_is_over(name: str, ended: tuple[str, ...]) -> None:
    twin, command = begun(load(name))
    first, again = Command(command, ("t.1", "0", "order-1")), Command(command, ("t.2", "0", "order-1"))
    make, remove = Command("init_orders", (0, 1, (("u", "i", "i"),))), Command("remove_order", ("0",))
    for each in (make, first, Command(ended[0], ended[1:]), remove):
        twin.run(each, 0)
    assert twin.run(Command("find_order", ("0",)), 0) == ("missing",)
    assert twin.run(first, 0) == ("no", "missing:order:0")
    twin.run(make, 0)
    assert twin.run(first, 0) == ("busy", "t.1")
    assert twin.run(again, 0)[0] in ("open", "begun")


def test_a_checkout_that_was_refused_does_not_pay_another_order_of_its_number() -> None:
    twin, _ = begun(load("lua"))
    make, checkout = Command("init_orders", (0, 1, (("u", "i", "i"),))), Command("checkout", ("t.1", "0"))
    refused = ("no", "missing:item:i")
    assert [twin.run(each, 0) for each in (make, checkout)][-1] == refused
    for key, balance in (("item:i", 9), ("user:u", 9)):
        twin.run(Command("create_account", (key, balance, 1)), 0)
    for each in (Command("remove_order", ("0",)), make):
        assert twin.run(each, 0) == ("ok",)
    assert twin.run(checkout, 0) == refused
    assert twin.run(Command("checkout", ("t.2", "0")), 0) == ("paid",)


def test_what_was_removed_is_not_made_again() -> None:
    twin, _ = begun(load("2pc"))
    for command in (Command("remove_order", ("o",)), Command("create_order", ("o", "u"))):
        assert twin.run(command, 0) == ("ok",)
    assert twin.run(Command("find_order", ("o",)), 0) == ("missing",)


def test_what_was_made_is_not_made_again() -> None:
    """Found by the simulator: a late copy of the command that makes an order emptied one that was paid."""
    protocol = load("2pc")
    twin = Twin(protocol, protocol.configure())
    make = Command("create_order", ("o", "u")), Command("create_account", ("item:i", 0, 1))
    for command in (*make, Command("add_item", ("o", "i", 1, 1)), Command("adjust", ("item:i", 5)), *make):
        assert twin.run(command, 0)[0] == "ok"
    assert twin.run(Command("find_order", ("o",)), 0) == ("found", "u", 0, 1, (("i", 1),))
    assert twin.run(Command("find_account", ("item:i",)), 0) == ("found", 5, 1)
