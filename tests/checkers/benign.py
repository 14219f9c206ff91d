"""Edits without a violation, and edits that leave the verdict unknown."""

from tests.checkers import outages
from tests.checkers.additions import (
    FAIL_404,
    a_second_time,
    maybe_set_anew,
    read_failed,
    ready_made,
    repriced,
    requires_availability,
    set_anew_again,
    sold_while_set_anew,
)
from tests.checkers.edits import Edit, answer, nth, outcome, steps
from tests.checkers.history_builder import MS, HistoryBuilder, a_run, changed


def shuffled(builder: HistoryBuilder) -> None:
    """Lines of operations that overlap may stand in either order."""
    one, other = nth(builder, "checkout", "o2"), nth(builder, "checkout", "o2", number=1)
    builder.operations[one], builder.operations[other] = builder.operations[other], builder.operations[one]


def reads_beside_a_checkout(builder: HistoryBuilder) -> None:
    """Reads that overlap a checkout may see it or not."""
    at = builder.now
    builder.record("create_order", "u1", process=9)
    builder.record("add_item", "o7", "i1", 1, process=9)
    at = builder.now
    builder.record("find_user", "u1", process=10, at=(at, at + 4))
    builder.record("checkout", "o7", process=9, at=(at + 1, at + 6))
    builder.record("find_user", "u1", process=11, at=(at + 2, at + 5))
    builder.record("find_user", "u1", process=12)


def removed_lines(builder: HistoryBuilder) -> None:
    builder.record("create_order", "u1", process=9)
    builder.record("add_item", "o7", "i1", 2, process=9)
    builder.record("add_item", "o7", "i0", 1, process=9)
    builder.record("remove_item", "o7", "i1", process=9)
    builder.record("find_order", "o7", process=9)
    builder.record("checkout", "o7", process=9)


def removed_order(builder: HistoryBuilder) -> None:
    builder.record("create_order", "u1", process=9)
    builder.record("remove_order", "o7", process=9)
    builder.orders["o7"] = {"user": "u1", "lines": [], "paid": False}
    builder.record("find_order", "o7", process=9)
    place = nth(builder, "find_order", "o7")
    builder.operations[place] = changed(builder.operations[place], **FAIL_404)
    del builder.orders["o7"]


def set_anew(builder: HistoryBuilder) -> None:
    """The balance after a `batch_init` is independent of the balance before it."""
    ready_made(builder)
    builder.record("init_users", 2, 70)
    builder.record("find_user", "0", process=9)


def poor_then_rich(builder: HistoryBuilder) -> None:
    builder.record("create_user", process=9)
    builder.record("create_order", "u3", process=9)
    builder.record("add_item", "o7", "i1", 1, process=9)
    builder.record("checkout", "o7", outcome="fail", process=9)
    builder.record("add_funds", "u3", 3, process=9)
    builder.record("checkout", "o7", process=9)
    builder.record("find_user", "u3", process=9)


def locked_then_read(builder: HistoryBuilder) -> None:
    """A last read that meets a lock, and is repeated."""
    place = nth(builder, "find_order", "o3", number=-1)
    read = builder.operations[place]
    later = max(each.completed_ns for each in builder.operations) + MS
    builder.operations[place] = changed(read, outcome="fail", status=409, value="locked")
    builder.operations.append(changed(read, invoked_ns=later, completed_ns=later + MS))


def old(builder: HistoryBuilder) -> None:
    """As version 1 kept it: without statuses."""
    builder.operations[:] = [changed(each, status=None) for each in builder.operations]


def all_accepted(builder: HistoryBuilder) -> None:
    """Every checkout is only accepted (202), and the orders are paid at the end."""
    for place, each in enumerate(builder.operations):
        if each.op == "checkout":
            value = f"202: {{'order_id': '{each.args[0]}', 'ask': '/orders/find/{each.args[0]}'}}"
            builder.operations[place] = changed(each, outcome="unknown", status=202, value=value, process=5000 + place)


BENIGN: dict[str, Edit] = {
    "as it is": a_run,
    "nothing that was unknown happened": lambda: a_run(late=()),
    "all that was unknown happened": lambda: a_run(late=("o4", "o5", "u2")),
    "lines of overlapping operations change places": steps(shuffled),
    "reads beside a checkout see it or not": lambda: a_run(middle=reads_beside_a_checkout),
    "a refused order is checked out later": lambda: a_run(middle=a_second_time),
    "no credit, and then enough": lambda: a_run(middle=poor_then_rich),
    "a lock at the end, and an answer after it": steps(locked_then_read),
    "ready-made orders": lambda: a_run(middle=ready_made),
    "prices of batch_init, and lines that keep theirs": lambda: a_run(middle=repriced),
    "lines that were removed": lambda: a_run(middle=removed_lines),
    "an order that was removed": lambda: a_run(middle=removed_order),
    "users set anew": lambda: a_run(middle=set_anew),
    "sold while users were set anew": lambda: a_run(middle=sold_while_set_anew),
    "a batch_init without an answer that took effect": maybe_set_anew(happens=True),
    "a batch_init without an answer that did not": maybe_set_anew(happens=False),
    "credit added to, read, and set anew": lambda: a_run(middle=set_anew_again),
    "404 for an entity without a creation": lambda: a_run(
        middle=lambda builder: builder.operations.append(
            changed(builder.operations[-1], op="find_user", args=["nobody"], process=77, **FAIL_404)
        )
    ),
    "an old history without statuses": steps(old),
    "a checkout answered 202": outcome("checkout", "o4", status=202),
    "a checkout answered 500": outcome("checkout", "o5", status=500),
    "a malformed 200 is unknown": outcome("checkout", "o5", status=200),
    "a fault, and requests are served after it": lambda: a_run(middle=outages.served_after),
    "a fault, and nothing to sell after it": lambda: a_run(middle=outages.sold_out_after),
    "a fault that ends with the load": lambda: a_run(middle=outages.away_until_the_end),
    "a fault, and no checkout is requested after it": lambda: a_run(middle=outages.no_checkout_after),
    "a rejection with the ids of its request": outcome(
        "checkout", "o1", value={"error": "not enough", "order_id": "o1"}
    ),
    "an accepted checkout of this order": outcome(
        "checkout", "o5", status=202, value="202: {'order_id': 'o5', 'ask': '/orders/find/o5'}"
    ),
    "every checkout was accepted, and some came about": steps(all_accepted),
    "a paid order, and its store is not reached": outcome(
        "checkout", "o2", number=2, outcome="fail", status=424, value="the store could not be reached; nothing happened"
    ),
    "a paid order, and the time was up": outcome(
        "checkout", "o2", number=2, outcome="fail", status=409, value="not finished within the time limit"
    ),
    "an item is blocked for a while": lambda: a_run(middle=outages.blocked_for_a_while),
    "an item is blocked, free, and blocked again": lambda: a_run(middle=outages.blocked_twice),
    "an item is blocked without its service": lambda: a_run(middle=outages.blocked_without_its_service),
    "an item is blocked without a coordinator": lambda: a_run(middle=outages.blocked_without_a_coordinator),
    "a checkout waits for the service it needs": lambda: a_run(middle=outages.checkouts_without_payment),
    "a checkout waits for an instance that is silent": lambda: a_run(middle=outages.given_to_a_silent_instance),
    "a checkout is refused for want of credit": lambda: a_run(middle=outages.poor_while_away),
    "every request is answered, as required": steps(requires_availability, builder=lambda: a_run(late=())),
    "a rejection under a lock, and availability is required": read_failed(status=409, value="409: locked"),
    "a creation that was refused": lambda: a_run(
        middle=lambda builder: builder.record("create_item", 5, outcome="fail", process=9)
    ),
}


def overlapping(builder: HistoryBuilder) -> None:
    place = nth(builder, "checkout", "o0")
    builder.operations[place] = changed(
        builder.operations[place], completed_ns=builder.operations[place].completed_ns + 5 * MS
    )


def backwards(builder: HistoryBuilder) -> None:
    place = nth(builder, "checkout", "o0")
    builder.operations[place] = changed(
        builder.operations[place], completed_ns=builder.operations[place].invoked_ns - 1
    )


def after_the_end(builder: HistoryBuilder) -> None:
    builder.record("add_funds", "u0", 5, process=30)


def goes_on_after_unknown(builder: HistoryBuilder) -> None:
    place = nth(builder, "checkout", "o4")
    builder.operations[place] = changed(builder.operations[place], process=20)


ILL_FORMED: dict[str, Edit] = {
    "a process does two things at once": steps(overlapping),
    "completed before it began": steps(backwards),
    "a line twice": steps(
        lambda builder: builder.operations.append(builder.operations[nth(builder, "add_funds", "u0")])
    ),
    "something changes while the end is read": steps(after_the_end),
    "a process goes on after an unknown outcome": steps(goes_on_after_unknown),
    "an operation of no contract": outcome("checkout", "o1", op="chekout"),
    "an argument too few": outcome("add_funds", "u0", args=["u0"]),
    "an amount that is no number": outcome("add_funds", "u0", args=["u0", "many"]),
    "a success with status 500": outcome("checkout", "o0", status=500),
    "a success with status 202": outcome("checkout", "o0", status=202),
    "a refusal with status 200": outcome("checkout", "o1", status=200),
    "a phase twice": steps(lambda builder: builder.mark("phase", name="final")),
    "phases out of order": steps(lambda builder: builder.mark("phase", name="up")),
}

UNDECIDED: dict[str, Edit] = {
    "a last read is missing": steps(lambda builder: builder.operations.pop(nth(builder, "find_user", "u0", number=-1))),
    "a last read of an order is missing": steps(
        lambda builder: builder.operations.pop(nth(builder, "find_order", "o3", number=-1))
    ),
    "a last read met a lock": outcome("find_order", "o3", number=-1, outcome="fail", status=409, value="locked"),
    "no last reads at all": steps(lambda builder: builder.events.__delitem__(slice(-1, None))),
    "an answer without its id": answer("find_order", "o0", order_id=None),
    "an answer without its price": answer("find_item", "i0", price=None),
    "an answer whose total is a text": answer("find_order", "o0", total_cost="13"),
    "no request is served after the first fault": lambda: a_run(middle=outages.nobody_served_after),
    "everybody is refused after the first fault": lambda: a_run(middle=outages.refused_for_no_reason_after),
    "no order comes about after the first fault": lambda: a_run(middle=outages.nothing_can_be_placed_after),
    "an order without a creation": steps(
        lambda builder: builder.operations.pop(nth(builder, "create_order", number=0))
    ),
    "a user without a creation": steps(lambda builder: builder.operations.pop(nth(builder, "create_user", number=0))),
    "an item without a creation": steps(
        lambda builder: builder.operations.pop(nth(builder, "create_item", 3, number=0))
    ),
    "no probe": steps(lambda builder: builder.events.pop(-2)),
}
"""Well-formed histories whose verdict is unknown."""
