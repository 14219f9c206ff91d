"""Safety in a state: every invariant is asserted, and only of protocols that claim it."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from harness.explore.case import SHARED, TWICE, SearchCase
from harness.explore.clients import Clients
from harness.explore.invariants import Invariants
from harness.explore.node import freeze
from protocols.core import Config
from protocols.store.twin import Twin
from protocols.two_phase import PROTOCOL
from protocols.two_phase.records import Prepared

Tables = dict[str, dict[str, Any]]
UNDECIDED = Clients(("c0.0", "c0.1"), ("", ""))


def stores(case: SearchCase) -> list[Tables]:
    """Return the tables of the three stores before the first checkout."""
    config = PROTOCOL.configure()
    found = []
    for service in ("order", "stock", "payment"):
        twin = Twin(PROTOCOL, config)
        for command in case.setup(lambda one, service=service: one == service, orders=service == "order"):  # type: ignore[misc]
            twin.run(command, 0)
        found.append(twin.tables)
    return found


def broken(
    change: Callable[[Tables, Tables, Tables], None],
    clients: Clients = UNDECIDED,
    *,
    case: SearchCase = SHARED,
    ended: bool = True,
    atomicity: str = "atomic",
) -> str:
    """Return the name of the invariant that is violated after ``change`` has been made to the three stores."""
    order, stock, payment = found = stores(case)
    change(order, stock, payment)
    protocol = replace(PROTOCOL, claims=lambda config: replace(PROTOCOL.claims(config), atomicity=atomicity))
    invariants = Invariants(protocol, PROTOCOL.configure(), case)
    views = [invariants.view(freeze(store)) for store in found]
    return invariants.violated(views, clients.replies, ended).partition(":")[0]


def pay(name: str) -> Callable[[Tables, Tables, Tables], None]:
    """Everything that checking it out does."""

    def change(order: Tables, stock: Tables, payment: Tables) -> None:
        order[f"order:{name}"]["paid"] = 1
        stock["item:i"]["balance"] -= 2
        payment["user:u"]["balance"] -= 2

    return change


def test_nothing_is_broken_before_and_after() -> None:
    assert broken(lambda *_: None) == ""
    assert broken(pay("o"), Clients(("c0.0", "c0.1"), ("acknowledged", "rejected"))) == ""


def test_an_acknowledged_order_is_paid_and_a_rejected_one_is_not() -> None:
    assert broken(lambda *_: None, Clients(("c0.0", ""), ("acknowledged", "")), ended=False) == "false acknowledgement"
    assert broken(pay("o"), Clients(("c0.0", ""), ("rejected", "")), ended=False) == "false rejection"
    both = Clients(("c0.0", "c0.1"), ("acknowledged", "rejected"))
    assert broken(lambda order, *_: order["order:o"].update(paid=1), both, case=TWICE, ended=False) == ""


@pytest.mark.parametrize("balance", [-1, 4], ids=["less than nothing", "more than there was"])
@pytest.mark.parametrize("atomicity", ["atomic", "eventually", "none"])
def test_value_is_conserved_in_every_state(balance: int, atomicity: str) -> None:
    def change(_: Tables, stock: Tables, __: Tables) -> None:
        stock["item:i"]["balance"] = balance

    assert broken(change, ended=False, atomicity=atomicity) == "conservation"


def test_nothing_is_lost_that_no_checkout_takes() -> None:
    def change(_: Tables, __: Tables, payment: Tables) -> None:
        payment["user:u"]["balance"] -= 5

    assert broken(change, ended=False, atomicity="eventually") == "conservation"


def test_locks_are_exclusive() -> None:
    def prepared(*txns: str) -> Callable[[Tables, Tables, Tables], None]:
        record = Prepared("order", "stock/0", "order", 10, 0, (("item:i", -2),))
        return lambda _, stock, __: stock.update(prepared=dict.fromkeys(txns, record))

    assert broken(prepared("c0.0"), ended=False) == ""
    assert broken(prepared("c0.0", "c0.1"), ended=False) == "mutual exclusion"


@pytest.mark.parametrize(
    ("atomicity", "meanwhile", "at_the_end"),
    [("atomic", "uncommitted effect", "uncommitted effect"), ("eventually", "", "atomicity"), ("none", "", "")],
)
def test_an_effect_without_a_decision(atomicity: str, meanwhile: str, at_the_end: str) -> None:
    def change(_: Tables, stock: Tables, __: Tables) -> None:
        stock["item:i"]["balance"] -= 2

    assert broken(change, ended=False, atomicity=atomicity) == meanwhile
    assert broken(change, ended=True, atomicity=atomicity) == at_the_end


def test_a_commit_may_be_on_its_way_but_not_for_ever() -> None:
    def change(order: Tables, stock: Tables, _: Tables) -> None:
        order["order:o"]["paid"] = 1
        stock["item:i"]["balance"] -= 2

    assert broken(change, ended=False) == ""
    assert broken(change, ended=True) == "atomicity"


def test_a_configuration_decides_what_is_claimed() -> None:
    configs: list[Config] = []

    def claims(config: Config) -> Any:
        configs.append(config)
        return PROTOCOL.claims(config)

    config = PROTOCOL.configure({"reads": "committed"})
    Invariants(replace(PROTOCOL, claims=claims), config, SHARED)
    assert configs == [config]
