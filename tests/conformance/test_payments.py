"""Payments by hand: the twin against a real server, and both against a purse that shares no line with them."""

from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.core import Command, Config
from protocols.registry import load
from protocols.shop.amounts import LIMIT
from protocols.store.twin import Twin
from tests.conformance.test_two_phase import run

USERS, ORDERS = ("user:0", "user:1"), ("o", "p", "")
users, orders = st.sampled_from(USERS), st.sampled_from(ORDERS)
amounts = st.one_of(st.integers(0, 4), st.sampled_from((LIMIT, LIMIT - 1)))
COURSE = st.lists(
    st.one_of(
        st.builds(Command, st.just("pay_order"), st.tuples(users, orders, amounts)),
        st.builds(Command, st.just("cancel_order"), st.tuples(users, orders)),
        st.builds(Command, st.just("find_payment"), st.tuples(users, orders)),
        st.builds(Command, st.just("adjust"), st.tuples(users, st.sampled_from((1, 3, LIMIT)))),
        st.builds(
            Command, st.just("init_accounts"), st.tuples(st.just("user"), st.just(0), st.just(1), amounts, amounts)
        ),
        st.builds(Command, st.just("find_account"), st.tuples(users)),
    ),
    max_size=25,
)
HELD = Command("prepare", ("a.0", "order", "payment/0", 1, (0, 0), (("user:0", -3),), "http://one"))


@pytest.mark.parametrize("locks", ["exclusive", "escrow"])
def test_the_twins_agree(server: redis.Redis, locks: str) -> None:
    """Also where a transaction has locked the account, or has set some of it aside."""
    protocol = load("2pc")
    choices = next(option.choices for option in protocol.options if option.name == "locks")
    config = protocol.configure({"locks": locks if locks in choices else choices[0]})

    @settings(max_examples=60, deadline=None)
    @given(COURSE, st.booleans())
    def agree(course: list[Command], held: bool) -> None:
        run(server, config, [Command("create_account", ("user:0", 5, 0)), *([HELD] if held else []), *course])

    agree()


@settings(max_examples=150, deadline=None)
@given(COURSE)
def test_what_was_taken_is_given_back_once_and_nothing_else(course: list[Command]) -> None:
    shop = Twin(load("lua"), Config())
    shop.run(Command("create_account", ("user:0", 5, 0)), 0)
    purse: dict[str, int] = {"user:0": 5}
    taken: dict[tuple[str, str], int] = {}
    for command in course:
        result, (user, *args) = shop.run(command, 0), command.args
        if command.name == "init_accounts":
            purse["user:0"] = command.args[3]
            taken = {place: amount for place, amount in taken.items() if place[0] != "user:0"}
        elif result[0] == "ok":
            _reckon(purse, taken, command.name, user, args)
        balances = {key: found["balance"] for key, found in shop.tables.items() if key.startswith("user:")}
        assert balances == purse
        assert all(amount >= 0 for amount in purse.values())


def _reckon(purse: dict[str, int], taken: dict[tuple[str, str], int], name: str, user: str, args: list[Any]) -> None:
    if name == "adjust":
        purse[user] += args[0]
    elif name == "pay_order" and not taken.get((user, args[0])):
        purse[user] -= args[1]
        taken[user, args[0]] = args[1]
    elif name == "cancel_order":
        purse[user] += taken.pop((user, args[0]), 0)
