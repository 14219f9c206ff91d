"""The one command of an atomic checkout, on both sides: the same replies and the same state, whatever came before."""

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.core import Command
from protocols.lua_atomic import PROTOCOL
from protocols.shop import keyed, payments
from protocols.shop.amounts import LIMIT
from tests.conformance.test_two_phase import ACCOUNTS, EXAMPLES, FILLED, ORDERS, SHOP, commands, run, txns

LUA = {
    "checkout": (txns, st.sampled_from((*ORDERS, "0", "nothing"))),
    "unfinished": (st.just(""), st.just(-1)),
    "list_txns": (),
    "txn_verdict": (txns,),
}
# Twice as often: what the shop does in between is only there to give it something to do.
SEQUENCES = st.lists(commands(LUA) | commands({"checkout": LUA["checkout"]}) | commands(SHOP), max_size=30)
CONFIGS = st.builds(
    lambda ablate: PROTOCOL.configure(ablate=tuple(sorted(ablate))),
    st.one_of(st.just(set()), st.sets(st.sampled_from([guard.name for guard in PROTOCOL.safeguards]), max_size=2)),
)


@pytest.mark.parametrize("examples", EXAMPLES)
def test_the_twin_and_the_real_commands_agree(server: redis.Redis, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(CONFIGS, SEQUENCES)
    def agree(config: object, sequence: list[Command]) -> None:
        run(server, config, [*ACCOUNTS, *FILLED, *sequence], PROTOCOL)  # type: ignore[arg-type]

    agree()


CORNERS = {
    "the last of many things is missing": [
        Command("create_order", ("p", "0")),
        *(Command("add_item", ("p", str(number), 1, 0)) for number in range(3)),
        Command("add_item", ("p", "9", 1, 0)),
        Command("checkout", ("a.0", "p")),
    ],
    "refused, then there is enough, then the same again and a new one": [
        Command("create_order", ("p", "0")),
        Command("add_item", ("p", "0", 4, 0)),
        Command("checkout", ("a.7", "p")),
        Command("adjust", ("item:0", 5)),
        Command("checkout", ("a.7", "p")),
        Command("checkout", ("a.6", "p")),
        Command("checkout", ("b-c.d.0", "p")),
        Command("checkout", ("a.8", "p")),
        Command("checkout", ("a.7", "p")),
    ],
    "set anew after it was paid, and a late copy": [
        Command("init_orders", (0, 1, (("1", "0", "1"),))),
        Command("checkout", ("a.0", "0")),
        Command("init_orders", (0, 1, (("1", "0", "1"),))),
        Command("checkout", ("a.0", "0")),
        Command("find_order", ("0",)),
        Command("checkout", ("a.1", "0")),
    ],
    "as much as there can be": [
        Command("init_accounts", ("item", 0, 1, LIMIT, 1)),
        Command("create_order", ("p", "0")),
        Command("add_item", ("p", "0", LIMIT, 0)),
        Command("checkout", ("a.0", "p")),
    ],
    "an order that names its branches": [
        Command("create_order", ("p", "0")),
        Command("add_branch", ("p", "stock", 0, (("item:0", -1), ("item:1", -2)))),
        Command("add_branch", ("p", "payment", 0, (("user:0", -2),))),
        Command("checkout", ("a.0", "p")),
    ],
}


@pytest.mark.parametrize("name", CORNERS)
def test_corners(server: redis.Redis, name: str) -> None:
    run(server, PROTOCOL.configure(), [*ACCOUNTS, *FILLED, *CORNERS[name]], PROTOCOL)


def test_every_command_is_compared() -> None:
    # Those of payments in `test_payments.py`, those of keys in `test_keyed.py`.
    assert {*SHOP, *LUA, *payments.COMMANDS, *keyed.COMMANDS} == set(PROTOCOL.commands)
