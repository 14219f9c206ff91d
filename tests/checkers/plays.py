"""Additions to the load of the run: a few operations each."""

from typing import Any

from tests.checkers.edits import Edit, answer, middle, nth, plus, read_of
from tests.checkers.tale import Tale, a_run, changed


def unpaid(_: Any) -> bool:
    return False


FAIL_404: dict[str, Any] = {"outcome": "fail", "status": 404, "value": "unknown"}


def dearer(tale: Tale) -> None:
    """Item i0 costs 4 more in one order, and the user pays it."""
    for place, each in enumerate(tale.operations):
        if each.op == "find_order" and each.args == ["o3"]:
            tale.operations[place] = changed(each, value={**each.value, "total_cost": each.value["total_cost"] + 4})
    read_of("find_user", "u2", credit=plus(-4))(tale)


def same_id(op: str, field: str, one: int, other: int) -> Edit:
    def edit() -> Tale:
        tale = a_run()
        first, second = nth(tale, op, number=one), nth(tale, op, number=other)
        value = {field: tale.operations[first].value[field]}
        tale.operations[second] = changed(tale.operations[second], value=value)
        return tale

    return edit


def ready_made(tale: Tale) -> None:
    """What `batch_init` makes: item 0 and item 1, and item 1 and item 2, at 5."""
    tale.tell("init_users", 2, 100)
    tale.tell("init_items", 3, 50, 5)
    tale.tell("init_orders", 2, 3, 2, 5)
    tale.tell("find_order", "0", process=8)
    tale.tell("checkout", "0", process=8)
    tale.tell("find_order", "0", process=8)
    tale.tell("find_item", "0", process=8)


def of_ready_made(op: str, *args: Any, number: int = 0, **fields: Any) -> Edit:
    return answer(op, *args, number=number, tale=middle(ready_made), **fields)


def repriced(tale: Tale) -> None:
    """A line keeps its price when the item gets another one."""
    tale.tell("init_items", 2, 50, 10)
    tale.tell("init_users", 1, 500)
    tale.tell("create_order", "0", process=9)
    tale.tell("add_item", "o7", "1", 2, process=9)
    tale.tell("init_items", 2, 50, 100)
    tale.tell("add_item", "o7", "1", 1, process=9)
    tale.tell("find_item", "1", process=9)
    tale.tell("find_order", "o7", process=9)
    tale.tell("checkout", "o7", process=9)
    tale.tell("find_user", "0", process=9)


def funds_later(tale: Tale) -> None:
    tale.tell("create_user", process=9)
    tale.tell("find_user", "u3", process=9)
    tale.tell("add_funds", "u3", 5, process=9)


def added_after_payment(tale: Tale) -> None:
    tale.tell("add_item", "o0", "i1", 1, process=9)


def negative_funds(tale: Tale) -> None:
    tale.tell("add_funds", "u0", -5, process=9)


def too_much(tale: Tale) -> None:
    tale.tell("add_stock", "i2", 2**53 + 1, process=9)


def four_of_i2(tale: Tale) -> None:
    tale.tell("add_stock", "i2", 4)
    tale.tell("find_item", "i2")


def ready_made_and_a_user(tale: Tale) -> None:
    ready_made(tale)
    tale.tell("create_user")


def still_there_after_removal(tale: Tale) -> None:
    """A line was taken out, and is still in the order."""
    tale.tell("create_order", "u1", process=9)
    tale.tell("add_item", "o7", "i1", 2, process=9)
    tale.tell("add_item", "o7", "i0", 1, process=9)
    tale.tell("remove_item", "o7", "i1", process=9)
    tale.orders["o7"]["lines"].append(("i1", 2, 3))
    tale.tell("find_order", "o7", process=9)


def found_after_removal(tale: Tale) -> None:
    tale.tell("create_order", "u1", process=9)
    tale.tell("remove_order", "o7", process=9)
    tale.orders["o7"] = {"user": "u1", "lines": [], "paid": False}
    tale.tell("find_order", "o7", process=9)


def users_not_set_anew(tale: Tale) -> None:
    """The answer was 200, and they have what they had."""
    tale.tell("init_users", 2, 70)
    tale.tell("init_users", 2, 90)
    tale.users.update({"0": 70, "1": 70})


def another_item_refused(tale: Tale) -> None:
    tale.tell("add_item", "o1", "i0", 1, outcome="fail", process=9)
    tale.operations[-1] = changed(tale.operations[-1], value={"error": "too many", "order_id": "o1", "item_id": "i1"})


def another_user_refused(tale: Tale) -> None:
    tale.tell("pay", "u1", 900, outcome="fail", process=9)
    tale.operations[-1] = changed(tale.operations[-1], value={"error": "only 90 left", "user_id": "u0"})


def a_second_time(tale: Tale) -> None:
    """The refused order again, with stock now."""
    tale.tell("add_stock", "i2", 1, process=9)
    tale.tell("checkout", "o1", process=9)
    tale.tell("find_order", "o1", process=9)


def sold_while_set_anew(tale: Tale) -> None:
    """A checkout that begins and ends while `batch_init` is under way comes before it: nothing of it is in the new credit."""
    tale.tell("init_users", 1, 100)
    tale.tell("create_order", "0", process=9)
    tale.tell("add_item", "o7", "i1", 1, process=9)
    at = tale.now
    tale.tell("checkout", "o7", process=9, at=(at + 1, at + 3))
    tale.tell("init_users", 1, 80, process=8, at=(at, at + 5))
    tale.tell("find_user", "0", process=9)


def maybe_set_anew(happens: bool) -> Edit:
    """`batch_init` without an answer, and a checkout before and after it."""

    def play(tale: Tale) -> None:
        tale.tell("init_users", 1, 100)
        tale.tell("init_items", 1, 50, 4)
        for order, quantity in (("o7", 2), ("o8", 1)):
            tale.tell("create_order", "0", process=9)
            tale.tell("add_item", order, "0", quantity, process=9)
            tale.tell("checkout", order, process=9)
            if order == "o7":
                tale.tell("init_items", 1, 90, 4, process=8, outcome="unknown", happens=happens)
        tale.tell("find_order", "o8", process=9)

    return middle(play)


def set_anew_again(tale: Tale) -> None:
    """Credit that was added to, spent and read before it is set anew."""
    tale.tell("init_users", 1, 100)
    tale.tell("add_funds", "0", 5, process=9)
    tale.tell("create_order", "0", process=9)
    tale.tell("add_item", "o7", "i1", 1, process=9)
    tale.tell("checkout", "o7", process=9)
    tale.tell("find_user", "0", process=9)
    tale.tell("init_users", 1, 80)
    tale.tell("add_funds", "0", 3, process=9)
    tale.tell("find_user", "0", process=9)
