"""Every store command exists twice. The same sequences of commands must give the same replies and the same state."""

from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocols import copies
from protocols.claims import Safeguard
from protocols.core import Command, Config, Protocol
from protocols.service.codec import decode_result, encode_arguments
from protocols.service.lua_library import source
from protocols.shop import keyed, payments
from protocols.shop.amounts import LIMIT
from protocols.store.fences import COLLECTED_AT_ONCE
from protocols.store.twin import Twin
from protocols.two_phase import PROTOCOL
from tests.conformance.dump import dump

KEYS = ("item:0", "item:1", "item:2", "user:0", "user:1")
ORDERS = ("o", "p")
# Few names, so that most commands meet something; lives of two instances, and sequences that pass the horizon.
TXNS = tuple(f"{prefix}.{sequence}" for prefix in ("a", "a~1", "a~12", "b-c.d") for sequence in range(4))

EXAMPLES = [60, pytest.param(300, marks=pytest.mark.slow)]
"""The numbers of sequences that Hypothesis draws for each pair of twins."""
LOCKS = next(option.choices for option in PROTOCOL.options if option.name == "locks")

amounts = st.one_of(st.integers(0, 5), st.sampled_from((LIMIT, LIMIT - 1, LIMIT // 2)))
deltas = st.one_of(st.integers(-5, 5), amounts, amounts.map(lambda amount: -amount))
keys, orders, txns = st.sampled_from(KEYS), st.sampled_from(ORDERS), st.sampled_from(TXNS)
changes = st.dictionaries(keys, deltas, min_size=1, max_size=3).map(lambda found: tuple(found.items()))
ages = st.integers(1_700_000_000_000_000, 1_700_000_000_000_003)
horizons = st.tuples(st.sampled_from((0, 0, 0, 1, 12)), st.one_of(st.integers(0, 4), st.just(1_001)))
STEP_MS = 7
"""Milliseconds between two commands of a sequence: what a command waited for is sometimes exactly its limit."""

ages_ms = st.sampled_from((-1, STEP_MS, 2 * STEP_MS, 10, 1_000))
addresses = st.sampled_from(("http://one", "http://two"))
items = st.sampled_from(("0", "1", "2", "é"))


SHOP = {
    "create_account": (keys, amounts, amounts),
    "find_account": (keys,),
    "adjust": (keys, deltas),
    "init_accounts": (st.sampled_from(("item", "user")), st.integers(0, 2), st.integers(0, 3), amounts, amounts),
    "create_order": (orders, st.sampled_from(("0", "1", "nobody"))),
    "find_order": (orders,),
    "add_item": (orders, items, amounts, amounts),
    "remove_item": (orders, items),
    "remove_order": (orders,),
    "add_branch": (orders, st.sampled_from(("stock", "service-3")), st.integers(0, 1), changes),
    "init_orders": (st.integers(0, 1), st.integers(0, 9), st.lists(st.tuples(items, items, items)).map(tuple)),
}
COORDINATOR = {
    "open": (txns, orders, st.sampled_from(("order-1", "order-2"))),
    "commit": (txns,),
    "close": (txns,),
    "resolve": (txns, st.sampled_from((0, STEP_MS, 1_000)), addresses, st.just("stock/0"), st.booleans()),
    "end": (txns, txns, txns),
    "unfinished": (st.sampled_from(("", "order-1")), ages_ms),
}
GENERATION = {"begin_generation": (st.sampled_from(("one run", "another")),)}
LIVES = {
    "enlist": (st.sampled_from(("a", "b-c.d")), st.sampled_from((1, 2, 12)), st.sampled_from(("p", "q"))),
    **GENERATION,
}
PARTICIPANT = {
    "prepare": (txns, st.just("order"), st.just("stock/0"), ages, horizons, changes, addresses),
    "apply": (txns, st.just("stock/0"), addresses),
    "undo": (txns,),
    "doubts": (st.just(""), ages_ms),
    "list_txns": (),
    "txn_verdict": (txns,),
}


def commands(table: dict[str, tuple[st.SearchStrategy[Any], ...]]) -> st.SearchStrategy[Command]:
    return st.one_of(*(st.builds(Command, st.just(name), st.tuples(*args)) for name, args in table.items()))


ACCOUNTS = [Command("create_account", (key, 3, 1)) for key in KEYS[:-1]]
FILLED = [
    Command("create_order", ("o", "0")),
    Command("add_item", ("o", "0", 1, 1)),
    Command("add_item", ("o", "1", 2, 1)),
]

PARTICIPATION = st.lists(
    commands(PARTICIPANT) | commands(PARTICIPANT) | commands(SHOP) | commands(GENERATION), max_size=40
)
COORDINATION = st.lists(commands(COORDINATOR) | commands(SHOP) | commands(LIVES), max_size=40)
CONFIGS = st.builds(
    lambda locks, short_log, reads, ablate: PROTOCOL.configure(
        {"locks": locks, "short-log": short_log, "reads": reads}, tuple(sorted(ablate))
    ),
    st.sampled_from(LOCKS),
    st.sampled_from(("presume", "block")),
    st.sampled_from(("locked", "committed", "settled")),
    st.one_of(st.just(set()), st.sets(st.sampled_from([guard.name for guard in PROTOCOL.safeguards]), max_size=2)),
)


def run(server: redis.Redis, config: Config, sequence: list[Command], protocol: Protocol = PROTOCOL) -> None:
    server.flushall()
    server.function_load(source(protocol, config), replace=True)
    twin = Twin(protocol, config)
    for number, one in enumerate(sequence):
        now = 1_700_000_000_000 + STEP_MS * number
        answer = server.execute_command("FCALL", f"wdm_{one.name}", 0, encode_arguments(now, one.args))
        assert decode_result(answer) == twin.run(one, now), f"reply to {one} after {sequence[:number]}"
        if not config.enabled("guard") and _beyond_doubles(twin):
            return  # without its guard a sum leaves the range in which Lua's numbers are exact
    assert dump(server) == twin.tables, f"state after {sequence}"


def _beyond_doubles(twin: Twin) -> bool:
    return any(abs(fields.get("balance", 0)) > LIMIT for fields in twin.tables.values())


@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("sequences", [PARTICIPATION, COORDINATION], ids=["participant", "coordinator"])
def test_the_twin_and_the_real_commands_agree(server: redis.Redis, sequences: Any, examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(CONFIGS, sequences)
    def agree(config: Config, sequence: list[Command]) -> None:
        run(server, config, [*ACCOUNTS, *FILLED, *sequence])

    agree()


def test_a_queue_is_served_in_the_same_order(server: redis.Redis) -> None:
    """Many transactions over three keys, each step the same on both sides: the longest queues a short case can have."""
    sequence = [Command("create_account", (key, 50, 1)) for key in KEYS]
    for number in range(24):
        wanted = tuple((key, -1) for index, key in enumerate(KEYS) if (number * 7 + index) % 3)
        age = 1_700_000_000_000_000 - number % 12
        sequence.append(Command("prepare", (f"a.{number}", "order", "stock/0", age, (0, 0), wanted, "http://one")))
    sequence += [
        Command("apply", (f"a.{number}", "stock/0", "x")) if number % 3 else Command("undo", (f"a.{number}",))
        for number in range(24)
    ]
    for locks in LOCKS:
        run(server, PROTOCOL.configure({"locks": locks}), sequence)


def prepare(txn: str, age: int, *wanted: str, horizon: tuple[int, int] = (0, 0)) -> Command:
    lines = tuple((key, -1) for key in wanted)
    return Command("prepare", (txn, "order", "stock/0", 1_700_000_000_000_000 + age, horizon, lines, "http://one"))


# Corners that random sequences reach too seldom.
CORNERS = {
    "patience that has just ended": [
        Command("open", ("a.0", "o", "order-1")),
        Command("resolve", ("a.0", STEP_MS, "http://one", "stock/0")),
        Command("open", ("a.1", "o", "order-1")),
        Command("resolve", ("a.1", STEP_MS + 1, "http://one", "stock/0")),
        Command("unfinished", ("", 2 * STEP_MS)),
        Command("unfinished", ("", 3 * STEP_MS)),
        prepare("a.2", 1, "item:0"),
        Command("doubts", ("", STEP_MS)),
        Command("doubts", ("", 2 * STEP_MS)),
    ],
    "inquiries about all doubts at one moment": [
        prepare("a.3", 2, "item:0"),
        prepare("a.1", 1, "item:0"),
        prepare("a.2", 3, "item:1"),
        prepare("a.0", 1, "item:1"),
        Command("doubts", ("", -1)),
        Command("doubts", ("", -1)),
    ],
    "passed over, then against the policy": [
        prepare("a.0", 3, "item:0"),
        prepare("a.1", 3, "item:1"),
        prepare("a.2", 2, "item:0", "item:1"),
        prepare("a.3", 1, "item:0"),
        Command("apply", ("a.0", "stock/0", "x")),
    ],
    "a reservation, and the unreserved rest": [
        prepare("a.0", 1, "item:0", "item:1"),
        prepare("a.1", 2, "item:0"),
        Command("find_account", ("item:0",)),
        Command("adjust", ("item:0", -2)),
        Command("adjust", ("item:0", -1)),
        Command("init_accounts", ("item", 0, 2, 9, 1)),
        Command("create_account", ("item:1", 9, 1)),
        prepare("a.2", 3, "item:0"),
        prepare("a.3", 3, "item:0"),
        Command("undo", ("a.1",)),
        Command("apply", ("a.0", "stock/0", "x")),
        prepare("b-c.d.0", 3, "item:0"),
        Command("prepare", ("b-c.d.1", "order", "stock/0", 4, (0, 0), (("item:0", LIMIT - 1),), "x")),
        Command("prepare", ("b-c.d.2", "order", "stock/0", 4, (0, 0), (("item:0", 2),), "x")),
        Command("adjust", ("item:0", 1)),
    ],
    "one more than 2^53": [Command("init_accounts", ("item", 0, 1, LIMIT, 1)), Command("adjust", ("item:0", 1))],
    "an order set anew under its checkout": [
        Command("init_orders", (0, 1, (("1", "0", "1"),))),
        Command("open", ("a.0", "0", "order-1")),
        Command("init_orders", (0, 1, (("1", "0", "1"),))),
        Command("commit", ("a.0",)),
    ],
    "a commit that is repeated": [
        Command("open", ("a.0", "o", "order-1")),
        Command("commit", ("a.0",)),
        Command("commit", ("a.0",)),
    ],
    "a coordinator and a branch of one transaction in one store": [
        Command("create_order", ("z", "0")),
        Command("open", ("a.0", "z", "order-1")),
        Command("prepare", ("a.0", "order", "a/0", 1, (0, 0), (("item:0", -1),), "http://one")),
        Command("list_txns"),
        Command("commit", ("a.0",)),
        Command("list_txns"),
    ],
    "a prepare that is repeated after the decision": [
        prepare("a.0", 1, "item:0"),
        Command("apply", ("a.0", "stock/0", "x")),
        prepare("a.0", 1, "item:0"),
        prepare("a.1", 1, "item:1"),
        Command("undo", ("a.1",)),
        prepare("a.1", 1, "item:1"),
    ],
    "a horizon that rises by one": [
        prepare("a.0", 1, "item:0"),
        Command("undo", ("a.0",)),
        prepare("a.1", 1, "item:0", horizon=(0, 1)),
        Command("txn_verdict", ("a.0",)),
        Command("list_txns"),
    ],
    "a horizon that rises in the first life with a number": [
        prepare("a~1.0", 1, "item:0"),
        Command("undo", ("a~1.0",)),
        prepare("a~1.1", 1, "item:0", horizon=(1, 1)),
        Command("txn_verdict", ("a~1.0",)),
    ],
    "a horizon that one collection just reaches": [
        prepare("a.2000", 1, "item:0", horizon=(0, COLLECTED_AT_ONCE)),
        prepare("a.2001", 1, "item:1", horizon=(0, COLLECTED_AT_ONCE + 1)),
    ],
    "an order that names its branches": [
        Command("create_order", ("p", "0")),
        Command("add_branch", ("p", "stock", 1, (("item:0", -1), ("item:1", -2)))),
        Command("add_branch", ("p", "service-3", 0, (("account:3", -2),))),
        Command("add_branch", ("p", "stock", 0, (("item:2", 1),))),
        Command("add_branch", ("p", "stock", 1, (("item:0", -3),))),
        Command("add_branch", ("nothing", "stock", 0, (("item:0", -3),))),
        Command("open", ("a.0", "p", "order-1")),
        Command("add_branch", ("p", "stock", 2, (("item:0", -3),))),
        Command("commit", ("a.0",)),
        Command("add_branch", ("p", "stock", 2, (("item:0", -3),))),
        Command("create_order", ("q", "1")),
        Command("open", ("a.1", "q", "order-1")),
        Command("create_order", ("r", "1")),
        Command("remove_order", ("r",)),
        Command("create_order", ("s", "1")),
        Command("open", ("a.2", "s", "order-1")),
    ],
    "lives that have ended": [
        *(prepare(f"{prefix}.{number}", 1, "item:0") for prefix in ("a", "a~1", "a~12") for number in range(3)),
        *(Command("undo", (f"{prefix}.{number}",)) for prefix in ("a", "a~1", "a~12") for number in range(3)),
        prepare("a~12.3", 1, "item:1", horizon=(1, 1)),
        prepare("a~1.0", 1, "item:2"),
        Command("txn_verdict", ("a~1.1",)),
        prepare("a~12.4", 1, "item:1", horizon=(12, 2)),
        prepare("a~1.2", 1, "item:2"),
        Command("txn_verdict", ("a~12.2",)),
        prepare("a~12.5", 1, "item:1", horizon=(1, 2)),
    ],
    "a life that has begun": [
        Command("enlist", ("a", 5, "p")),
        Command("enlist", ("a", 4, "q")),
        Command("enlist", ("a", 13, "q")),
        Command("open", ("a~12.0", "o", "a")),
        Command("enlist", ("b", 12, "p")),
        Command("open", ("b~11.0", "o", "b")),
        Command("open", ("b~12.0", "o", "b")),
        Command("close", ("b~12.0",)),
        Command("open", ("b~12.0", "o", "b")),
        Command("open", ("b~12.1", "o", "b")),
    ],
    "more in doubt than one sweep inquires about": [
        *(Command("create_account", (f"item:{number}", 9, 1)) for number in range(120)),
        *(prepare(f"a.{number}", number, f"item:{number}") for number in range(120)),
        Command("doubts", ("", 100)),
        Command("doubts", ("", 100)),
    ],
}


@pytest.mark.parametrize("name", CORNERS)
@pytest.mark.parametrize("locks", LOCKS)
def test_corners(server: redis.Redis, name: str, locks: str) -> None:
    run(server, PROTOCOL.configure({"locks": locks}), [*ACCOUNTS, *FILLED, *CORNERS[name]])


OWN_SAFEGUARDS = [safeguard for safeguard in PROTOCOL.safeguards if safeguard not in copies.SAFEGUARDS]


@pytest.mark.parametrize("safeguard", OWN_SAFEGUARDS, ids=lambda safeguard: safeguard.name)
def test_corners_without_a_safeguard(server: redis.Redis, safeguard: Safeguard) -> None:
    config = PROTOCOL.configure(dict(safeguard.under), (safeguard.name,))
    for corner in CORNERS.values():
        run(server, config, [*ACCOUNTS, *FILLED, *corner])


def test_every_command_is_compared() -> None:
    # Those of payments in `test_payments.py`, those of keys in `test_keyed.py`.
    assert {*SHOP, *COORDINATOR, *PARTICIPANT, *payments.COMMANDS, *keyed.COMMANDS} == set(PROTOCOL.commands)


@pytest.mark.parametrize(("before", "after"), [(one, other) for one in LOCKS for other in LOCKS if one != other])
def test_what_was_prepared_under_another_policy_is_respected(server: redis.Redis, before: str, after: str) -> None:
    """A shop may be started again with another one while something is in doubt."""
    policies = [PROTOCOL.configure({"locks": locks}) for locks in (before, after)]
    first = [*ACCOUNTS, prepare("a.0", 2, "item:0", "item:1"), prepare("a.1", 1, "item:2")]
    second = [
        prepare("a.2", 3, "item:0"),
        prepare("a.3", 1, "item:0", "item:2"),
        Command("apply", ("a.0", "stock/0", "x")),
        Command("undo", ("a.1",)),
        *(Command("undo", (txn,)) for txn in ("a.2", "a.3")),
        prepare("b-c.d.0", 3, "item:0", "item:1", "item:2"),
        Command("apply", ("b-c.d.0", "stock/0", "x")),
    ]
    server.flushall()
    twin = Twin(PROTOCOL, policies[0])
    for config, sequence in zip(policies, (first, second), strict=True):
        server.function_load(source(PROTOCOL, config), replace=True)
        tables, twin = twin.tables, Twin(PROTOCOL, config)
        twin.tables = tables
        for one in sequence:
            answer = server.execute_command("FCALL", f"wdm_{one.name}", 0, encode_arguments(1, one.args))
            assert decode_result(answer) == twin.run(one, 1), f"reply to {one}"
    assert dump(server) == twin.tables
    assert [twin.tables[key]["balance"] for key in KEYS[:3]] == [1, 1, 2], "a.0 and the last one took, nobody else"
    assert not any(twin.tables[key].get("held") or twin.tables[key]["lock"] for key in KEYS[:3])
