"""The fence of a branch: in every order of arrival of a step and its compensation, each any number of times, the step takes
effect at most once, never after its compensation, and has one answer.
"""

from collections.abc import Iterator
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.core import Command
from protocols.saga import PROTOCOL
from protocols.store.twin import Twin

DO, UNDO = "perform", "compensate"


def orders(most_dos: int = 3, most_undos: int = 2) -> list[tuple[str, ...]]:
    """Every order in which so many dos and undos can arrive, at least one of them."""
    found = {
        order
        for dos in range(most_dos + 1)
        for undos in range(most_undos + 1)
        for order in permutations([DO] * dos + [UNDO] * undos)
    }
    return sorted(found - {()})


BALANCES, DELTAS = range(4), range(1, 4)
CASES = [(order, balance, delta) for order in orders() for balance in BALANCES for delta in DELTAS]


def wrong(order: tuple[str, ...], balance: int, delta: int, *ablate: str) -> str:
    """What goes wrong, in words; empty if nothing does."""
    twin = Twin(PROTOCOL, PROTOCOL.configure({}, ablate))
    twin.run(Command("create_account", ("item:i", balance, 1)), 0)
    undone, answers = False, set()
    for arrived in order:
        if arrived == DO:
            (why,) = twin.run(Command("perform", ("a.0", "stock/0", (0, 0), (("item:i", -delta),), "x")), 0)
            if undone and not why:
                return "done after its undo"
            if not undone:
                answers.add(why)
        else:
            twin.run(Command("compensate", ("a.0", "stock/0", "x")), 0)
            undone = True
        done = not undone and answers == {""}
        if twin.tables["item:i"]["balance"] != balance - delta * done:
            return f"{twin.tables['item:i']['balance']} left of {balance} after {arrived}"
    possible = "" if delta <= balance else "short:item:i"
    return "" if answers <= {possible} else f"answered {answers}"


def test_every_order_of_arrival() -> None:
    assert len(CASES) == 396
    assert [case for case in CASES if wrong(*case)] == []


@pytest.mark.parametrize("safeguard", ["replay-verdict", "fence-compensation", "compensate-recorded", "guard"])
def test_each_rule_of_the_fence_is_needed(safeguard: str) -> None:
    assert [case for case in CASES if wrong(*case, safeguard)]


@given(st.lists(st.sampled_from((DO, UNDO)), max_size=30).map(tuple), st.integers(0, 9), st.integers(1, 9))
def test_longer_orders(order: tuple[str, ...], balance: int, delta: int) -> None:
    assert wrong(order, balance, delta) == ""


# ---------------------------------------------------------------- several transactions, and the end of their fences

SEQUENCES = range(4)


def arrivals() -> Iterator[tuple[str, int]]:
    yield from ((kind, sequence) for kind in (DO, UNDO) for sequence in SEQUENCES)


@given(st.lists(st.tuples(st.sampled_from(tuple(arrivals())), st.integers(0, 3)), max_size=40))
def test_what_ended_stays_as_it_is_after_its_fence_is_collected(arrived: list[tuple[tuple[str, int], int]]) -> None:
    """Every transaction takes another power of two, so that the balance says which of them are in effect."""
    twin = Twin(PROTOCOL, PROTOCOL.configure())
    twin.run(Command("create_account", ("item:i", 15, 1)), 0)
    horizon, ended = 0, {}
    for (kind, sequence), wanted in arrived:
        horizon = max(horizon, wanted)
        change = (("item:i", -(2**sequence)),)
        if kind == DO:
            twin.run(Command("perform", (f"a.{sequence}", "stock/0", (0, horizon), change, "x")), 0)
            for over in range(horizon):  # by then it was in effect or not, and so it stays
                ended.setdefault(over, _in_effect(twin, over))
        else:
            twin.run(Command("compensate", (f"a.{sequence}", "stock/0", "x")), 0)
        assert {over: _in_effect(twin, over) for over in ended} == ended
    fences = twin.tables.get("fence:a", {})
    assert all(int(sequence) >= twin.tables.get("horizon", {}).get("a", (0, 0))[1] for sequence in fences)


def _in_effect(twin: Twin, sequence: int) -> bool:
    return not twin.tables["item:i"]["balance"] >> sequence & 1


def test_several_branches_of_one_transaction_in_one_store_have_a_fence_each() -> None:
    twin = Twin(PROTOCOL, PROTOCOL.configure())
    for item in "ij":
        twin.run(Command("create_account", (f"item:{item}", 5, 1)), 0)
    for shard, item in enumerate("ij"):
        twin.run(Command("perform", ("a.0", f"stock/{shard}", (0, 0), ((f"item:{item}", -2),), "x")), 0)
    twin.run(Command("compensate", ("a.0", "stock/1", "x")), 0)
    assert [twin.tables[f"item:{item}"]["balance"] for item in "ij"] == [3, 5]


def test_what_comes_back_and_has_no_room_comes_back_later() -> None:
    twin = Twin(PROTOCOL, PROTOCOL.configure())
    twin.run(Command("create_account", ("item:i", 2**53, 1)), 0)
    twin.run(Command("perform", ("a.0", "stock/0", (0, 0), (("item:i", -2),), "x")), 0)
    twin.run(Command("adjust", ("item:i", 1)), 0)
    assert twin.run(Command("compensate", ("a.0", "stock/0", "x")), 0) == ("later", "over:item:i")
    twin.run(Command("adjust", ("item:i", -1)), 0)
    assert twin.run(Command("compensate", ("a.0", "stock/0", "x")), 0) == ("compensated",)
    assert twin.tables["item:i"]["balance"] == 2**53


def test_a_compensation_gives_back_to_the_life_that_it_was_taken_from() -> None:
    """Of two items one is set anew in between; so is the user, twice, whom nothing else distinguishes."""
    twin = Twin(PROTOCOL, PROTOCOL.configure())
    for kind in ("item", "user"):
        twin.run(Command("init_accounts", (kind, 0, 2, 9, 1)), 0)
    twin.run(Command("perform", ("a.0", "stock/0", (0, 0), (("item:0", -2), ("item:1", -3)), "x")), 0)
    twin.run(Command("perform", ("a.0", "payment/0", (0, 0), (("user:0", -5),), "x")), 0)
    twin.run(Command("init_accounts", ("item", 1, 1, 9, 1)), 0)
    for _ in range(2):
        twin.run(Command("init_accounts", ("user", 0, 1, 9, 1)), 0)
    for branch in ("payment/0", "stock/0", "stock/0"):
        assert twin.run(Command("compensate", ("a.0", branch, "x")), 0) == ("compensated",)
    assert [twin.tables[key]["balance"] for key in ("item:0", "item:1", "user:0")] == [9, 9, 9]


def test_what_is_taken_after_that_comes_back() -> None:
    twin = Twin(PROTOCOL, PROTOCOL.configure())
    for _ in range(3):
        twin.run(Command("init_accounts", ("item", 0, 1, 9, 1)), 0)
    twin.run(Command("perform", ("a.0", "stock/0", (0, 0), (("item:0", -2),), "x")), 0)
    twin.run(Command("create_account", ("item:0", 50, 1)), 0)
    twin.run(Command("compensate", ("a.0", "stock/0", "x")), 0)
    assert twin.tables["item:0"]["balance"] == 9
