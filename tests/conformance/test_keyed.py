"""Requests with keys: the twin against a real server, and what the two rules of keys promise."""

import re
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.core import Command, Config, Protocol
from protocols.registry import load
from protocols.service.lua_library import source
from protocols.shop.keyed import CHANGES, CREATING
from protocols.store.twin import Twin
from tests.conformance.test_two_phase import ACCOUNTS, FILLED, SHOP, amounts, keys, orders, run, txns

BEGIN = {"2pc": "open", "saga": "begin", "lua": "checkout"}
PROTOCOLS = [load(name) for name in BEGIN]
# Few keys, and generations of two records: sequences repeat requests, mix them up, and forget them.
names = st.sampled_from(("k", "l", "m", ""))
kept = st.sampled_from((1, 2, 2, 9))
whys = st.sampled_from(("short:item:0", "timeout"))
owners = st.sampled_from(("order-1", "order-2"))


def _change(name: str, args: tuple[Any, ...]) -> st.SearchStrategy[Command]:
    request = st.sampled_from((f"{name} x", f"{name} y"))
    command = "keyed_creation" if name in CREATING else "keyed"
    return st.tuples(names.filter(bool), kept, request, st.just(name), *args).map(lambda whole: Command(command, whole))


def courses(protocol: Protocol) -> st.SearchStrategy[list[Command]]:
    """Sequences of keyed changes, conclusions, rejections and begins of checkouts."""
    changes = [_change(name, args) for name, args in SHOP.items() if not name.startswith("find")]
    rejected = st.tuples(names.filter(bool), kept, orders.map(lambda order: f"checkout {order}"), orders, txns, whys)
    concluded = st.tuples(names.filter(bool), kept, st.just("adjust x"), keys, st.just("locked"), txns)
    owner, adopts = (
        ((), ()) if protocol.name == "lua" else ((owners,), (st.lists(names.filter(bool), max_size=2).map(tuple),))
    )
    unfinished = st.tuples(owners, st.just(1_000)).map(lambda args: Command("unfinished", args))
    one = st.one_of(
        *changes,
        rejected.map(lambda args: Command("reject_checkout", args)),
        concluded.map(lambda args: Command("conclude", args)),
        st.tuples(txns, orders, *owner, names, *adopts).map(lambda args: Command(BEGIN[protocol.name], args)),
        unfinished,
    )
    return st.lists(one, max_size=25)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("ablated", [(), ("remember-key",)])
def test_the_twins_agree(server: redis.Redis, protocol: Protocol, ablated: tuple[str, ...]) -> None:
    config = protocol.configure(ablate=ablated)

    @settings(max_examples=60, deadline=None)
    @given(courses(protocol))
    def agree(course: list[Command]) -> None:
        run(server, config, [*ACCOUNTS, *FILLED, *course], protocol)

    agree()


def test_what_creates_data_is_what_a_full_store_rejects() -> None:
    registered = re.findall(r"creating_command\('(\w+)'", source(PROTOCOLS[0], PROTOCOLS[0].configure()))
    assert {name for name in registered if name in CHANGES} == CREATING


def shop(protocol: str = "2pc") -> Twin:
    twin = Twin(load(protocol), Config())
    for command in (*ACCOUNTS, *FILLED):
        twin.run(command, 0)
    return twin


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), amounts), max_size=12))
def test_a_key_has_one_effect_and_one_answer(deposits: list[tuple[str, int]]) -> None:
    twin = shop("lua")
    first: dict[str, tuple[Any, ...]] = {}
    for key, amount in deposits:
        before = twin.tables["user:0"]["balance"]
        answer = twin.run(Command("keyed", (key, 9, "add_funds 0", "adjust", "user:0", amount)), 0)
        if key in first:
            assert twin.tables["user:0"]["balance"] == before
        assert answer == first.setdefault(key, answer)


def test_a_key_of_another_request_is_refused() -> None:
    twin = shop()
    twin.run(Command("keyed", ("k", 9, "add_funds 0 5", "adjust", "user:0", 5)), 0)
    assert twin.run(Command("keyed", ("k", 9, "add_funds 0 6", "adjust", "user:0", 6)), 0) == ("other",)
    assert twin.tables["user:0"]["balance"] == 8


def test_a_key_is_kept_for_so_many_others_at_least() -> None:
    twin = shop()
    kept_keys = 5

    def deposit(key: str) -> None:
        twin.run(Command("keyed", (key, kept_keys, "add", "adjust", "user:0", 1)), 0)

    for number in range(40):
        deposit(str(number))
        for recent in range(max(0, number - kept_keys + 1), number + 1):
            deposit(str(recent))
    assert twin.tables["user:0"]["balance"] == 3 + 40
    assert sum(len(twin.tables[f"keys:{generation}"]) for generation in (0, 1)) <= 2 * kept_keys


@pytest.mark.parametrize("protocol", BEGIN)
def test_a_rejected_checkout_never_begins(protocol: str) -> None:
    twin = shop(protocol)
    owner = () if protocol == "lua" else ("order-1",)
    rejection = Command("reject_checkout", ("k", 9, "checkout o", "o", "", "short:user:0"))
    assert twin.run(rejection, 0) == ("no", "short:user:0")
    assert twin.run(Command(BEGIN[protocol], ("a.0", "o", *owner, "k")), 0) == ("no", "short:user:0")
    assert twin.run(Command(BEGIN[protocol], ("a.1", "o", *owner, "l")), 0)[0] in ("open", "begun", "paid")


@pytest.mark.parametrize("protocol", ["2pc", "saga"])
def test_no_checkout_is_rejected_while_another_of_its_order_is_undecided(protocol: str) -> None:
    twin = shop(protocol)
    twin.run(Command(BEGIN[protocol], ("a.0", "o", "order-1", "k")), 0)
    rejection = ("k", 9, "checkout o", "o")
    assert twin.run(Command("reject_checkout", (*rejection, "b-c.d.0", "timeout")), 0) == ("busy", "a.0")
    assert twin.run(Command("reject_checkout", (*rejection, "a.0", "timeout")), 0) == ("no", "timeout")


def test_a_paid_order_is_never_rejected() -> None:
    twin = shop("lua")
    twin.run(Command("checkout", ("a.0", "o", "k")), 0)
    assert twin.run(Command("reject_checkout", ("k", 9, "checkout o", "o", "", "timeout")), 0) == ("paid",)


def test_a_key_of_another_request_begins_no_checkout() -> None:
    twin = shop()
    twin.run(Command("keyed", ("k", 9, "add_funds 0 5", "adjust", "user:0", 5)), 0)
    assert twin.run(Command("open", ("a.0", "o", "order-1", "k")), 0) == ("no", "other:key:k")


@pytest.mark.parametrize("protocol", ["2pc", "saga"])
@pytest.mark.parametrize(("adopts", "recovers"), [(("l", "k"), True), (("l",), False), ((), False)])
def test_a_copy_adopts_the_transaction_of_another_copy(protocol: str, adopts: tuple[str, ...], recovers: bool) -> None:
    twin = shop(protocol)
    assert twin.run(Command(BEGIN[protocol], ("order-1.0", "o", "order-1", "k", ("k",))), 0)[0] in ("open", "begun")
    assert twin.run(Command(BEGIN[protocol], ("order-2.0", "o", "order-2", "l", adopts)), 0) == ("busy", "order-1.0")

    def listed(owner: str) -> list[str]:
        return [txn for txn, _ in twin.run(Command("unfinished", (owner, 1_000)), 0)]

    assert listed("order-2") == (["order-1.0"] if recovers else [])
    assert listed("order-1") == ["order-1.0"], "its horizon must not pass a transaction that has not ended"
    assert listed("order-3") == []
