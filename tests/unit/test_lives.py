"""The lives of an instance: their numbers rise, and what a store keeps of them does not grow with how many there were."""

from collections.abc import Callable

import pytest

from protocols.core import Command
from protocols.registry import load
from protocols.store.fences import COLLECTED_AT_ONCE
from protocols.store.lives import horizon, parts, prefix_of
from protocols.store.twin import Twin
from tests.runtimes import EVERY_PROTOCOL

HOUR_MS = 3_600_000
NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("txn", "expected"),
    [
        ("order-1~7.3", ("order-1", (7, 3))),
        ("b-c.d.3", ("b-c.d", (0, 3))),
        ("a~b.3", ("a~b", (0, 3))),
        ("a~1~2.3", ("a~1", (2, 3))),
    ],
)
def test_the_parts_of_a_name(txn: str, expected: tuple[str, tuple[int, int]]) -> None:
    instance, (life, sequence) = parts(txn)
    assert (instance, (life, sequence)) == expected
    assert f"{prefix_of(instance, life)}.{sequence}" == txn


@pytest.mark.parametrize("txn", ["", "nothing", "a~1", "a.-1", "a~1.+2", "a.x", "a."])
def test_what_has_no_sequence_number_names_nothing(txn: str) -> None:
    with pytest.raises(ValueError, match="no sequence number"):
        parts(txn)


def enlisting() -> tuple[Twin, Callable[..., tuple[object, ...]]]:
    twin = Twin(load("2pc"), load("2pc").configure())
    return twin, lambda instance, life, process: twin.run(Command("enlist", (instance, life, process)), NOW)


def test_the_highest_number_is_the_latest_life_and_no_copy_of_a_command_changes_it() -> None:
    _, enlist = enlisting()
    assert enlist("order-1", 5, "first") == (5, "first")
    assert enlist("order-1", 5, "first") == (5, "first"), "a copy"
    assert enlist("order-1", 5, "another") == (5, "first"), "the same number is no other process's"
    assert enlist("order-1", 7, "second") == (7, "second")
    assert enlist("order-1", 5, "first") == (7, "second"), "a copy of a former process's, executed late"
    assert enlist("order-2", 3, "third") == (3, "third")


def test_a_store_that_lost_its_last_writes_is_given_the_number_again() -> None:
    twin, enlist = enlisting()
    enlist("order-1", NOW + HOUR_MS, "first")
    twin.tables.clear()
    assert enlist("order-1", NOW + HOUR_MS, "first") == (NOW + HOUR_MS, "first")
    assert enlist("order-1", NOW, "second") == (NOW + HOUR_MS, "first")


def test_the_horizon_is_the_oldest_of_all_that_has_not_ended() -> None:
    assert horizon("a", 3, 5, []) == (3, 5)
    assert horizon("a", 3, 5, ["a~2.9", "a~1.7", "a~1.8", "b~1.0"]) == (1, 7)
    assert horizon("a", 3, 5, ["a~3.0", "a~4.0"]) == (3, 5), (
        "one's own are known better, and later ones are none of ours"
    )


def test_an_order_that_every_life_has_tried_keeps_one_note_an_instance() -> None:
    begin = {"2pc": ("open", ("x",)), "saga": ("begin", ("x",)), "lua": ("checkout", ())}
    end = {"2pc": ("close", ()), "saga": ("end", ((),))}
    for name in EVERY_PROTOCOL:
        twin = Twin(load(name), load(name).configure())
        twin.run(Command("create_order", ("o", "nobody")), 0)
        twin.run(Command("add_item", ("o", "nothing", 1, 1)), 0)
        before = set(twin.tables["order:o"])
        for life in range(1, 31):
            for instance in ("order-1", "order-2"):
                txn = f"{instance}~{life}.0"
                for command, more in filter(None, (begin[name], end.get(name))):
                    first = (txn, "o") if command == begin[name][0] else (txn,)
                    twin.run(Command(command, (*first, *more)), 0)
        assert len(set(twin.tables["order:o"]) - before) == 2, name


def test_fences_of_former_lives_go_as_a_whole_and_those_of_the_horizons_own_life_bit_by_bit() -> None:
    twin = Twin(load("2pc"), load("2pc").configure())
    twin.run(Command("create_account", ("item:i", 9, 1)), 0)

    def rejection(txn: str, point: tuple[int, int]) -> str:
        prepare = (txn, "order", "stock/0", 1, point, (("item:i", -1),), "order-1")
        ((_, _, _, why),), _ = twin.run(Command("prepare", prepare), 0)
        twin.run(Command("undo", (txn,)), 0)
        return str(why)

    for life in (1, 2, 3):
        for sequence in range(4):
            assert rejection(f"a~{life}.{sequence}", (0, 0)) == ""
    assert rejection("a~3.4", (2, 2)) == ""
    assert (sorted(twin.tables["fence:a~2"]), "fence:a~1" in twin.tables) == (["2", "3"], False)
    assert [rejection(txn, (1, 9)) for txn in ("a~1.9", "a~2.1")] == ["conflict:stale"] * 2
    far = 2 * COLLECTED_AT_ONCE + 1
    for reached in (COLLECTED_AT_ONCE, 2 * COLLECTED_AT_ONCE, far):
        rejection(f"a~3.{far}", (3, far))
        assert twin.tables["horizon"] == {"a": (3, reached)}
    assert {name for name in twin.tables if name.startswith(("fence:", "lives:"))} == {"fence:a~3", "lives:a"}
    assert set(twin.tables["fence:a~3"]) == {str(far)}
