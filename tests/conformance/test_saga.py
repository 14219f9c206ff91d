"""The saga's store commands, on both sides: the same replies and the same state, notes included."""

from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import copies
from protocols.claims import Safeguard
from protocols.core import Command, Config
from protocols.saga import PROTOCOL
from protocols.saga.commands import ENDED, LINES
from protocols.shop import keyed, payments
from protocols.shop.amounts import LIMIT
from tests.conformance.test_two_phase import (
    ACCOUNTS,
    EXAMPLES,
    FILLED,
    LIVES,
    SHOP,
    addresses,
    ages_ms,
    changes,
    commands,
    horizons,
    orders,
    run,
    txns,
)

entries = st.lists(
    st.tuples(
        st.sampled_from(("perform", "no answer")), st.sampled_from(("", "stock/0")), st.sampled_from(("", "short:é"))
    ),
    max_size=3,
).map(tuple)
branches = st.sampled_from(("stock/0", "stock/1"))
ORCHESTRATOR = {
    "begin": (txns, orders, st.sampled_from(("order-1", "order-2"))),
    "confirm": (txns, orders, entries),
    "abort_saga": (txns, orders, entries),
    "end": (txns, entries),
    "note": (txns, entries),
    "unfinished": (st.sampled_from(("", "order-1")), ages_ms),
    "list_txns": (),
    "list_ended": (),
    "txn_verdict": (txns,),
    "txn_log": (txns,),
}
BRANCH = {
    "perform": (txns, branches, horizons, changes, addresses),
    "compensate": (txns, branches, addresses),
    "txn_verdict": (txns,),
}
ORCHESTRATION = st.lists(
    commands(ORCHESTRATOR) | commands(ORCHESTRATOR) | commands(SHOP) | commands(LIVES), max_size=40
)
BRANCHING = st.lists(commands(BRANCH) | commands(BRANCH) | commands(SHOP), max_size=40)
# Without a guard sums may leave the range in which Lua's doubles are exact: see UNGUARDED.
ABLATIONS = [one.name for one in PROTOCOL.safeguards if one.name != "guard"]
CONFIGS = st.one_of(st.just(set()), st.sets(st.sampled_from(ABLATIONS), max_size=2)).map(
    lambda ablate: PROTOCOL.configure({}, tuple(sorted(ablate)))
)


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("sequences", [ORCHESTRATION, BRANCHING], ids=["orchestrator", "branch"])
def test_the_twin_and_the_real_commands_agree(server: redis.Redis, sequences: Any, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(CONFIGS, sequences)
    def agree(config: Config, sequence: list[Command]) -> None:
        run(server, config, [*ACCOUNTS, *FILLED, *sequence], PROTOCOL)

    agree()


AS_MANY_AS_ARE_KEPT = "as many ended sagas as are kept, and more"

# Corners that random sequences reach too seldom.
CORNERS = {
    "a checkout that is paid": [
        Command("begin", ("a.0", "o", "order-1")),
        Command("note", ("a.0", (("no answer", "stock/0", ""),))),
        Command("txn_log", ("a.0",)),
        Command("confirm", ("a.0", "o", (("perform", "stock/0", "late"),))),
        Command("txn_verdict", ("a.0",)),
        Command("txn_log", ("a.0",)),
        Command("confirm", ("a.0", "o", ())),
        Command("abort_saga", ("a.0", "o", ())),
        Command("note", ("a.0", (("no answer", "stock/0", ""),))),
        Command("end", ("a.0", ())),
        Command("list_ended"),
    ],
    "a checkout that is paid without more lines": [
        Command("begin", ("a.0", "o", "order-1")),
        Command("confirm", ("a.0", "o", ())),
        Command("txn_log", ("a.0",)),
    ],
    "a checkout that is compensated": [
        Command("begin", ("a.0", "o", "order-1")),
        Command("abort_saga", ("a.0", "o", (("no answer", "stock/0", ""),))),
        Command("abort_saga", ("a.0", "o", (("no answer", "stock/0", ""),))),
        Command("confirm", ("a.0", "o", (("perform", "stock/0", ""),))),
        Command("txn_log", ("a.0",)),
        Command("end", ("a.0", (("perform", "stock/0", "late"),))),
        Command("txn_verdict", ("a.0",)),
        Command("txn_log", ("a.0",)),
        Command("confirm", ("a.0", "o", ())),
        Command("abort_saga", ("a.0", "o", ())),
        Command("begin", ("a.1", "o", "order-1")),
    ],
    "a log that is cut": [
        Command("begin", ("a.0", "o", "order-1")),
        *(Command("note", ("a.0", (("no answer", "stock/0", str(number)),))) for number in range(LINES + 5)),
        Command("note", ("a.0", (("no answer", "stock/0", ""),) * (LINES + 1))),
        Command("txn_log", ("a.0",)),
    ],
    AS_MANY_AS_ARE_KEPT: [
        *(
            Command(name, (f"a.{number}", *rest))
            for number in range(ENDED + 3)
            for name, rest in (("begin", ("o", "order-1")), ("end", ((),)))
        ),
        *(Command("txn_verdict", (f"a.{number}",)) for number in (0, 2, 3, ENDED, ENDED + 2)),
        Command("txn_log", (f"a.{ENDED + 2}",)),
        Command("list_ended"),
    ],
    "an account without room for a compensation": [
        Command("init_accounts", ("item", 0, 1, LIMIT, 1)),
        Command("perform", ("a.0", "stock/0", (0, 0), (("item:0", -2), ("item:1", -1)), "x")),
        Command("adjust", ("item:0", 1)),
        Command("compensate", ("a.0", "stock/0", "x")),
        Command("adjust", ("item:0", -1)),
        Command("compensate", ("a.0", "stock/0", "x")),
    ],
    "an order that is replaced during its checkout": [
        Command("init_orders", (0, 1, (("1", "0", "1"),))),
        Command("begin", ("a.0", "0", "order-1")),
        Command("init_orders", (0, 1, (("1", "0", "1"),))),
        Command("confirm", ("a.0", "0", ())),
        Command("end", ("a.0", ())),
    ],
    "another order of the number of one that was removed": [
        Command("init_orders", (0, 1, (("1", "0", "1"),))),
        Command("begin", ("a.0", "0", "order-1")),
        Command("end", ("a.0", ())),
        Command("remove_order", ("0",)),
        *(
            Command(name, ("0", *rest))
            for name, rest in (("find_order", ()), ("create_order", ("1",)), ("remove_order", ()))
        ),
        *(Command(name, ("0", "1", *rest)) for name, rest in (("add_item", (1, 1)), ("remove_item", ()))),
        Command("begin", ("a.0", "0", "order-1")),
        Command("init_orders", (0, 1, (("1", "0", "1"),))),
        Command("begin", ("a.0", "0", "order-1")),
        Command("begin", ("a.1", "0", "order-1")),
    ],
}


@pytest.mark.parametrize("name", CORNERS)
def test_corners(server: redis.Redis, name: str) -> None:
    run(server, PROTOCOL.configure(), [*ACCOUNTS, *FILLED, *CORNERS[name]], PROTOCOL)


OWN_SAFEGUARDS = [safeguard for safeguard in PROTOCOL.safeguards if safeguard not in copies.SAFEGUARDS]


@pytest.mark.parametrize("safeguard", OWN_SAFEGUARDS, ids=lambda safeguard: safeguard.name)
def test_corners_without_a_safeguard(server: redis.Redis, safeguard: Safeguard) -> None:
    config = PROTOCOL.configure(dict(safeguard.under), (safeguard.name,))
    for name, corner in CORNERS.items():
        if name != AS_MANY_AS_ARE_KEPT:
            run(server, config, [*ACCOUNTS, *FILLED, *corner], PROTOCOL)


UNGUARDED = [
    Command("perform", ("a.0", "stock/0", (0, 0), (("item:0", -5), ("item:9", -1)), "x")),
    Command("perform", ("a.1", "stock/0", (0, 0), (("item:0", -5), ("item:1", -1)), "x")),
    Command("compensate", ("a.1", "stock/0", "x")),
]


def test_without_the_guard_they_agree_as_well(server: redis.Redis) -> None:
    run(server, PROTOCOL.configure({}, ("guard",)), [*ACCOUNTS, *UNGUARDED], PROTOCOL)


def test_every_command_is_compared() -> None:
    # Those of payments in `test_payments.py`, those of keys in `test_keyed.py`.
    assert {*SHOP, *ORCHESTRATOR, *BRANCH, *payments.COMMANDS, *keyed.COMMANDS} == set(PROTOCOL.commands)
