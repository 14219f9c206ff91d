"""Additions to the load of the run: a few operations each."""

from typing import Any

from tests.checkers.edits import Edit, answer, middle, nth, plus, read_of
from tests.checkers.history_builder import HistoryBuilder, a_run, changed


def unpaid(_: Any) -> bool:
    return False


FAIL_404: dict[str, Any] = {"outcome": "fail", "status": 404, "value": "unknown"}


def dearer(builder: HistoryBuilder) -> None:
    """Item i0 costs 4 more in one order, and the user pays it."""
    for place, each in enumerate(builder.operations):
        if each.op == "find_order" and each.args == ["o3"]:
            builder.operations[place] = changed(each, value={**each.value, "total_cost": each.value["total_cost"] + 4})
    read_of("find_user", "u2", credit=plus(-4))(builder)


def same_id(op: str, field: str, one: int, other: int) -> Edit:
    def edit() -> HistoryBuilder:
        builder = a_run()
        first, second = nth(builder, op, number=one), nth(builder, op, number=other)
        value = {field: builder.operations[first].value[field]}
        builder.operations[second] = changed(builder.operations[second], value=value)
        return builder

    return edit


def ready_made(builder: HistoryBuilder) -> None:
    """What `batch_init` makes: item 0 and item 1, and item 1 and item 2, at 5."""
    builder.record("init_users", 2, 100)
    builder.record("init_items", 3, 50, 5)
    builder.record("init_orders", 2, 3, 2, 5)
    builder.record("find_order", "0", process=8)
    builder.record("checkout", "0", process=8)
    builder.record("find_order", "0", process=8)
    builder.record("find_item", "0", process=8)


def of_ready_made(op: str, *args: Any, number: int = 0, **fields: Any) -> Edit:
    return answer(op, *args, number=number, builder=middle(ready_made), **fields)


def repriced(builder: HistoryBuilder) -> None:
    """A line keeps its price when the item gets another one."""
    builder.record("init_items", 2, 50, 10)
    builder.record("init_users", 1, 500)
    builder.record("create_order", "0", process=9)
    builder.record("add_item", "o7", "1", 2, process=9)
    builder.record("init_items", 2, 50, 100)
    builder.record("add_item", "o7", "1", 1, process=9)
    builder.record("find_item", "1", process=9)
    builder.record("find_order", "o7", process=9)
    builder.record("checkout", "o7", process=9)
    builder.record("find_user", "0", process=9)


def funds_later(builder: HistoryBuilder) -> None:
    builder.record("create_user", process=9)
    builder.record("find_user", "u3", process=9)
    builder.record("add_funds", "u3", 5, process=9)


def added_after_payment(builder: HistoryBuilder) -> None:
    builder.record("add_item", "o0", "i1", 1, process=9)


def negative_funds(builder: HistoryBuilder) -> None:
    builder.record("add_funds", "u0", -5, process=9)


def too_much(builder: HistoryBuilder) -> None:
    builder.record("add_stock", "i2", 2**53 + 1, process=9)


def four_of_i2(builder: HistoryBuilder) -> None:
    builder.record("add_stock", "i2", 4)
    builder.record("find_item", "i2")


def ready_made_and_a_user(builder: HistoryBuilder) -> None:
    ready_made(builder)
    builder.record("create_user")


def still_there_after_removal(builder: HistoryBuilder) -> None:
    """A line was taken out, and is still in the order."""
    builder.record("create_order", "u1", process=9)
    builder.record("add_item", "o7", "i1", 2, process=9)
    builder.record("add_item", "o7", "i0", 1, process=9)
    builder.record("remove_item", "o7", "i1", process=9)
    builder.orders["o7"]["lines"].append(("i1", 2, 3))
    builder.record("find_order", "o7", process=9)


def found_after_removal(builder: HistoryBuilder) -> None:
    builder.record("create_order", "u1", process=9)
    builder.record("remove_order", "o7", process=9)
    builder.orders["o7"] = {"user": "u1", "lines": [], "paid": False}
    builder.record("find_order", "o7", process=9)


def users_not_set_anew(builder: HistoryBuilder) -> None:
    """The answer is 200, and the balances are unchanged."""
    builder.record("init_users", 2, 70)
    builder.record("init_users", 2, 90)
    builder.users.update({"0": 70, "1": 70})


def another_item_refused(builder: HistoryBuilder) -> None:
    builder.record("add_item", "o1", "i0", 1, outcome="fail", process=9)
    builder.operations[-1] = changed(
        builder.operations[-1], value={"error": "too many", "order_id": "o1", "item_id": "i1"}
    )


def another_user_refused(builder: HistoryBuilder) -> None:
    builder.record("pay", "u1", 900, outcome="fail", process=9)
    builder.operations[-1] = changed(builder.operations[-1], value={"error": "only 90 left", "user_id": "u0"})


def a_second_time(builder: HistoryBuilder) -> None:
    """The refused order again, with stock now."""
    builder.record("add_stock", "i2", 1, process=9)
    builder.record("checkout", "o1", process=9)
    builder.record("find_order", "o1", process=9)


def sold_while_set_anew(builder: HistoryBuilder) -> None:
    """A checkout that begins and ends while `batch_init` is under way comes before it: nothing of it is in the new credit."""
    builder.record("init_users", 1, 100)
    builder.record("create_order", "0", process=9)
    builder.record("add_item", "o7", "i1", 1, process=9)
    at = builder.now
    builder.record("checkout", "o7", process=9, at=(at + 1, at + 3))
    builder.record("init_users", 1, 80, process=8, at=(at, at + 5))
    builder.record("find_user", "0", process=9)


def maybe_set_anew(happens: bool) -> Edit:
    """`batch_init` without an answer, and a checkout before and after it."""

    def play(builder: HistoryBuilder) -> None:
        builder.record("init_users", 1, 100)
        builder.record("init_items", 1, 50, 4)
        for order, quantity in (("o7", 2), ("o8", 1)):
            builder.record("create_order", "0", process=9)
            builder.record("add_item", order, "0", quantity, process=9)
            builder.record("checkout", order, process=9)
            if order == "o7":
                builder.record("init_items", 1, 90, 4, process=8, outcome="unknown", happens=happens)
        builder.record("find_order", "o8", process=9)

    return middle(play)


def set_anew_again(builder: HistoryBuilder) -> None:
    """Credit that was added to, spent and read before it is set anew."""
    builder.record("init_users", 1, 100)
    builder.record("add_funds", "0", 5, process=9)
    builder.record("create_order", "0", process=9)
    builder.record("add_item", "o7", "i1", 1, process=9)
    builder.record("checkout", "o7", process=9)
    builder.record("find_user", "0", process=9)
    builder.record("init_users", 1, 80)
    builder.record("add_funds", "0", 3, process=9)
    builder.record("find_user", "0", process=9)


def requires_availability(builder: HistoryBuilder) -> None:
    """The scenario requires availability, and every request of the run is answered."""
    builder.must_hold = ["availability"]
    builder.operations[:] = [each for each in builder.operations if each.outcome != "unknown"]


def read_failed(**changes: Any) -> Edit:
    """A read without an answer, in a run that requires availability."""

    def edit() -> HistoryBuilder:
        builder = a_run(late=())
        requires_availability(builder)
        place = nth(builder, "find_user", "u1")
        read = {"outcome": "unknown", "process": 5000, "value": "no answer: TimeoutError", "status": 0}
        builder.operations[place] = changed(builder.operations[place], **(read | changes))
        return builder

    return edit
