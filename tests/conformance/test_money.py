"""The shop's reckoning against one that shares no line with it: a few dicts, and the arithmetic of a child.

Twins that implement the same wrong rule agree. So every course of the shop (prices that change, lines that come and go, stock,
credit and orders set anew, checkouts) is reckoned a third time here, for every protocol, on the pure twin and on a real
server. Prices and quantities are all that the model knows; it has no locks, no records and no phases.
"""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import registry
from protocols.core import Command, Config, Protocol
from protocols.registry import load
from protocols.service.codec import decode_result, encode_arguments
from protocols.service.lua_library import source
from protocols.store.twin import Twin

IDS = range(3)
Run = Callable[..., Any]
"""``run(command, *args)``: the reply of a store that keeps all of the shop, so that a transaction has one branch there."""


class Model:
    """What a shop's keeper has in mind. A line is [item, quantity, price then]."""

    def __init__(self) -> None:
        self.stock = dict.fromkeys(IDS, 9)
        self.price = dict.fromkeys(IDS, 2)
        self.credit = dict.fromkeys(IDS, 40)
        self.lines: dict[int, list[list[int]]] = {order: [] for order in IDS}
        self.paid: set[int] = set()

    def total(self, order: int) -> int:
        return sum(quantity * price for _, quantity, price in self.lines[order])

    def add(self, order: int, item: int, quantity: int) -> bool:
        if order not in self.paid:
            self.lines[order].append([item, quantity, self.price[item]])
        return order not in self.paid

    def remove(self, order: int, item: int) -> bool:
        first = next((line for line in self.lines[order] if line[0] == item), None)
        if order in self.paid or first is None:
            return False
        self.lines[order].remove(first)
        return True

    def checkout(self, order: int) -> bool:
        if order in self.paid:
            return True
        wanted = {item: sum(line[1] for line in self.lines[order] if line[0] == item) for item in IDS}
        enough = all(self.stock[item] >= wanted[item] for item in IDS)
        if not enough or (self.lines[order] and self.credit[order] < self.total(order)):
            return False
        for item in IDS:
            self.stock[item] -= wanted[item]
        self.credit[order] -= self.total(order)
        self.paid.add(order)
        return True

    def set_stock(self, stock: int, price: int) -> None:
        self.stock = dict.fromkeys(IDS, stock)
        self.price = dict.fromkeys(IDS, price)

    def set_orders(self, price: int, picks: list[tuple[int, int]]) -> None:
        self.lines = {order: [[one, 1, price], [other, 1, price]] for order, (one, other) in enumerate(picks)}
        self.paid = set()


# ---------------------------------------------------------------- a checkout as each protocol's commands, one after the other


def two_phase(run: Run, txn: str, order: str) -> bool:
    opened = run("open", txn, order, "order-1")
    if opened[0] != "open":
        return bool(opened[0] == "paid")
    changes = tuple(change for _, _, some in opened[1] for change in some)
    ((_, _, _, why),) = (
        run("prepare", txn, "order", "all/0", 1, (0, 0), changes, "x")[0] if changes else ((0, 0, 0, ""),)
    )
    if why:
        run("undo", txn)
        run("close", txn)
        return False
    assert run("commit", txn) == ("committed",)
    assert not changes or run("apply", txn, "all/0", "x")[0] == "applied"
    return True


def saga(run: Run, txn: str, order: str) -> bool:
    begun = run("begin", txn, order, "order-1")
    if begun[0] != "begun":
        return bool(begun[0] == "paid")
    done: list[str] = []
    for service, shard, changes in begun[1]:
        if run("perform", txn, f"{service}/{shard}", (0, 0), changes, "x") != ("",):
            assert run("abort_saga", txn, order, ()) == ("compensating",)
            assert all(run("compensate", txn, name, "x") == ("compensated",) for name in reversed(done))
            assert run("end", txn, ()) == ("ended",)
            return False
        done.append(f"{service}/{shard}")
    return bool(run("confirm", txn, order, ()) == ("paid",))


def lua(run: Run, txn: str, order: str) -> bool:
    return bool(run("checkout", txn, order) == ("paid",))


def unprotected(run: Run, txn: str, order: str) -> bool:
    read = run("read_order", order)
    if read[0] != "open":
        return bool(read[0] == "paid")
    done: list[tuple[str, int]] = []
    for key, delta in [change for _, _, changes in read[1] for change in changes]:
        if run("change", txn, 0, "x", key, delta) != ("",):
            assert all(run("change", txn, -1, "x", key, -delta) == ("",) for key, delta in done)
            return False
        done.append((key, delta))
    return bool(run("mark_paid", order) == ("paid",))


CHECKOUT = {"2pc": two_phase, "saga": saga, "lua": lua, "unprotected": unprotected}

# ---------------------------------------------------------------- one course for both

ids, few = st.sampled_from(IDS), st.integers(0, 4)
COURSE = st.lists(
    st.one_of(
        st.tuples(st.just("add"), ids, ids, few),
        st.tuples(st.just("remove"), ids, ids),
        st.tuples(st.just("checkout"), ids),
        st.tuples(st.just("set_stock"), st.integers(0, 20), few),
        st.tuples(st.just("set_orders"), few, st.lists(st.tuples(ids, ids), min_size=len(IDS), max_size=len(IDS))),
    ),
    max_size=25,
)


def open_shop(run: Run) -> None:
    run("init_accounts", "item", 0, len(IDS), 9, 2)
    run("init_accounts", "user", 0, len(IDS), 40, 0)
    for order in IDS:
        run("create_order", str(order), str(order))


def perform(run: Run, protocol: Protocol, number: int, what: str, *args: Any) -> bool | None:
    """Perform one step as a service does. Return whether it was done, or None for a step that cannot be refused."""
    match what, args:
        case "add", (order, item, quantity):
            price = run("find_account", f"item:{item}")[2]
            return bool(run("add_item", str(order), str(item), quantity, price)[0] == "ok")
        case "remove", (order, item):
            return bool(run("remove_item", str(order), str(item))[0] == "ok")
        case "checkout", (order,):
            return CHECKOUT[protocol.name](run, f"a.{number}", str(order))
        case "set_stock", (stock, price):
            assert run("init_accounts", "item", 0, len(IDS), stock, price) == ("ok",)
        case "set_orders", (price, picks):
            rows = tuple((str(order), str(one), str(other)) for order, (one, other) in enumerate(picks))
            assert run("init_orders", 0, price, rows) == ("ok",)
    return None


def looked_at(run: Run, model: Model) -> None:
    for name in IDS:
        assert run("find_account", f"item:{name}") == ("found", model.stock[name], model.price[name])
        assert run("find_account", f"user:{name}") == ("found", model.credit[name], 0)
        lines = tuple((str(item), quantity) for item, quantity, _ in model.lines[name])
        paid, total = int(name in model.paid), model.total(name)
        assert run("find_order", str(name)) == ("found", str(name), paid, total, lines)
        assert total >= 0
        assert model.credit[name] >= 0


def follow(run: Run, protocol: Protocol, course: list[tuple[Any, ...]]) -> None:
    model = Model()
    open_shop(run)
    for number, (what, *args) in enumerate(course):
        did, should = perform(run, protocol, number, what, *args), getattr(model, what)(*args)
        assert did == should, (what, args)
        looked_at(run, model)


def on_twin(protocol: Protocol, config: Config) -> Run:
    twin = Twin(protocol, config)
    return lambda name, *args: twin.run(Command(name, args), 1)


def on_server(server: redis.Redis, protocol: Protocol, config: Config) -> Run:
    server.flushall()
    server.function_load(source(protocol, config), replace=True)
    return lambda name, *args: decode_result(
        server.execute_command("FCALL", f"wdm_{name}", 0, encode_arguments(1, args))
    )


LOCKS = next(option.choices for option in load("2pc").options if option.name == "locks")
CONFIGURED = [
    *((name, {}) for name in registry.names() if name != "2pc"),
    *(("2pc", {"locks": locks}) for locks in LOCKS),
]


@pytest.mark.parametrize(("name", "options"), CONFIGURED, ids=str)
def test_every_course_of_a_shop_comes_to_what_a_child_would_reckon(
    server: redis.Redis, name: str, options: dict[str, str]
) -> None:
    protocol = load(name)
    config = protocol.configure(options)

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(COURSE)
    def agree(course: list[tuple[Any, ...]]) -> None:
        follow(on_twin(protocol, config), protocol, course)

    @settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(COURSE)
    def really(course: list[tuple[Any, ...]]) -> None:
        follow(on_server(server, protocol, config), protocol, course)

    agree()
    really()


# The course by which money was given away: 20 at the old price, less 2 at the new one, was -180.
GIVEN_AWAY = [
    ("set_stock", 9, 4),
    ("add", 0, 1, 2),
    ("set_stock", 9, 40),
    ("remove", 0, 1),
    ("add", 0, 1, 1),
    ("checkout", 0),
]


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize("real", [False, True], ids=["twin", "real"])
def test_a_line_that_goes_takes_its_own_price_along(server: redis.Redis, name: str, real: bool) -> None:
    protocol = load(name)
    config = protocol.configure()
    run = on_server(server, protocol, config) if real else on_twin(protocol, config)
    follow(run, protocol, GIVEN_AWAY)
    assert run("find_account", "user:0") == ("found", 0, 0)


@pytest.mark.parametrize("name", registry.names())
@pytest.mark.parametrize("line", [("1", -2, 5), ("1", 2, -5)], ids=["quantity", "price"])
@pytest.mark.parametrize("real", [False, True], ids=["twin", "real"])
def test_nobody_is_paid_for_buying(server: redis.Redis, name: str, line: tuple[str, int, int], real: bool) -> None:
    """No command makes such a line; should a store hold one, no protocol carries it out."""
    protocol = load(name)
    config = protocol.configure()
    twin = Twin(protocol, config)
    run = on_server(server, protocol, config) if real else lambda name, *args: twin.run(Command(name, args), 1)
    open_shop(run)
    assert run("add_item", "0", *line) == ("over", 0)
    if real:
        server.hset("order:0", "items", msgspec.msgpack.encode((line,)))
    else:
        twin.tables["order:0"]["items"] = (line,)
    assert not CHECKOUT[name](run, "a.1", "0")
    assert run("find_account", "user:0") == ("found", 40, 0)
    assert run("find_account", "item:1") == ("found", 9, 2)
    assert run("find_order", "0")[2] == 0


@pytest.mark.parametrize("real", [False, True], ids=["twin", "real"])
def test_a_product_that_doubles_cannot_hold_is_over(server: redis.Redis, real: bool) -> None:
    protocol = load("lua")
    run = on_server(server, protocol, protocol.configure()) if real else on_twin(protocol, protocol.configure())
    open_shop(run)
    assert run("add_item", "0", "1", 321, 28_059_810_762_433) == ("over", 0)  # 2^53 + 1, which rounds to 2^53
    assert run("add_item", "0", "1", 2**26, 2**27) == ("ok", 2**53)
    assert run("add_item", "0", "1", 1, 1) == ("over", 2**53)
    assert run("add_item", "0", "1", 1, 0) == ("ok", 2**53)


@pytest.mark.parametrize("real", [False, True], ids=["twin", "real"])
def test_a_quantity_that_doubles_cannot_hold_is_over_at_any_price(server: redis.Redis, real: bool) -> None:
    protocol = load("lua")
    run = on_server(server, protocol, protocol.configure()) if real else on_twin(protocol, protocol.configure())
    open_shop(run)
    assert run("add_item", "0", "1", 2**53, 0) == ("ok", 0)
    assert run("add_item", "0", "1", 1, 0) == ("over", 0)
    assert run("add_item", "1", "1", 1, 2**53) == ("ok", 2**53)
    assert run("add_item", "1", "1", 2**53 - 1, 0) == ("ok", 2**53)
