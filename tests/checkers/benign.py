"""Edits that raise no alarm, and those that make a history which nobody can judge."""

from tests.checkers import outages
from tests.checkers.edits import Edit, answer, nth, outcome, steps
from tests.checkers.plays import (
    FAIL_404,
    a_second_time,
    maybe_set_anew,
    ready_made,
    repriced,
    set_anew_again,
    sold_while_set_anew,
)
from tests.checkers.tale import MS, Tale, a_run, changed


def shuffled(tale: Tale) -> None:
    """Lines of operations that overlap may stand in either order."""
    one, other = nth(tale, "checkout", "o2"), nth(tale, "checkout", "o2", number=1)
    tale.operations[one], tale.operations[other] = tale.operations[other], tale.operations[one]


def reads_beside_a_checkout(tale: Tale) -> None:
    """Reads that overlap a checkout may see it or not."""
    at = tale.now
    tale.tell("create_order", "u1", process=9)
    tale.tell("add_item", "o7", "i1", 1, process=9)
    at = tale.now
    tale.tell("find_user", "u1", process=10, at=(at, at + 4))
    tale.tell("checkout", "o7", process=9, at=(at + 1, at + 6))
    tale.tell("find_user", "u1", process=11, at=(at + 2, at + 5))
    tale.tell("find_user", "u1", process=12)


def removed_lines(tale: Tale) -> None:
    tale.tell("create_order", "u1", process=9)
    tale.tell("add_item", "o7", "i1", 2, process=9)
    tale.tell("add_item", "o7", "i0", 1, process=9)
    tale.tell("remove_item", "o7", "i1", process=9)
    tale.tell("find_order", "o7", process=9)
    tale.tell("checkout", "o7", process=9)


def removed_order(tale: Tale) -> None:
    tale.tell("create_order", "u1", process=9)
    tale.tell("remove_order", "o7", process=9)
    tale.orders["o7"] = {"user": "u1", "lines": [], "paid": False}
    tale.tell("find_order", "o7", process=9)
    place = nth(tale, "find_order", "o7")
    tale.operations[place] = changed(tale.operations[place], **FAIL_404)
    del tale.orders["o7"]


def set_anew(tale: Tale) -> None:
    """What `batch_init` sets anew owes nothing to what was there before."""
    ready_made(tale)
    tale.tell("init_users", 2, 70)
    tale.tell("find_user", "0", process=9)


def poor_then_rich(tale: Tale) -> None:
    tale.tell("create_user", process=9)
    tale.tell("create_order", "u3", process=9)
    tale.tell("add_item", "o7", "i1", 1, process=9)
    tale.tell("checkout", "o7", outcome="fail", process=9)
    tale.tell("add_funds", "u3", 3, process=9)
    tale.tell("checkout", "o7", process=9)
    tale.tell("find_user", "u3", process=9)


def locked_then_read(tale: Tale) -> None:
    """A last read that meets a lock, and is asked again."""
    place = nth(tale, "find_order", "o3", number=-1)
    read = tale.operations[place]
    later = max(each.completed_ns for each in tale.operations) + MS
    tale.operations[place] = changed(read, outcome="fail", status=409, value="locked")
    tale.operations.append(changed(read, invoked_ns=later, completed_ns=later + MS))


def old(tale: Tale) -> None:
    """As version 1 kept it: without statuses."""
    tale.operations[:] = [changed(each, status=None) for each in tale.operations]


def all_accepted(tale: Tale) -> None:
    """As a shop says that answers at once: nobody is told the outcome, and the orders are paid in the end."""
    for place, each in enumerate(tale.operations):
        if each.op == "checkout":
            value = f"202: {{'order_id': '{each.args[0]}', 'ask': '/orders/find/{each.args[0]}'}}"
            tale.operations[place] = changed(each, outcome="unknown", status=202, value=value, process=5000 + place)


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
    "404 for what nobody made": lambda: a_run(
        middle=lambda tale: tale.operations.append(
            changed(tale.operations[-1], op="find_user", args=["nobody"], process=77, **FAIL_404)
        )
    ),
    "an old history without statuses": steps(old),
    "a checkout answered 202": outcome("checkout", "o4", status=202),
    "a checkout answered 500": outcome("checkout", "o5", status=500),
    "a malformed 200 is unknown": outcome("checkout", "o5", status=200),
    "a fault, and somebody is served after it": lambda: a_run(middle=outages.served_after),
    "a fault, and nothing to sell after it": lambda: a_run(middle=outages.sold_out_after),
    "a fault that ends with the load": lambda: a_run(middle=outages.away_until_the_end),
    "a fault, and nobody asks for a checkout after it": lambda: a_run(middle=outages.nothing_asked_after),
    "a refusal about what was asked for": outcome("checkout", "o1", value={"error": "not enough", "order_id": "o1"}),
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
    "a creation that was refused": lambda: a_run(
        middle=lambda tale: tale.tell("create_item", 5, outcome="fail", process=9)
    ),
}


def overlapping(tale: Tale) -> None:
    place = nth(tale, "checkout", "o0")
    tale.operations[place] = changed(tale.operations[place], completed_ns=tale.operations[place].completed_ns + 5 * MS)


def backwards(tale: Tale) -> None:
    place = nth(tale, "checkout", "o0")
    tale.operations[place] = changed(tale.operations[place], completed_ns=tale.operations[place].invoked_ns - 1)


def after_the_end(tale: Tale) -> None:
    tale.tell("add_funds", "u0", 5, process=30)


def goes_on_after_unknown(tale: Tale) -> None:
    place = nth(tale, "checkout", "o4")
    tale.operations[place] = changed(tale.operations[place], process=20)


ILL_FORMED: dict[str, Edit] = {
    "a process does two things at once": steps(overlapping),
    "completed before it began": steps(backwards),
    "a line twice": steps(lambda tale: tale.operations.append(tale.operations[nth(tale, "add_funds", "u0")])),
    "something changes while the end is read": steps(after_the_end),
    "a process goes on after an unknown outcome": steps(goes_on_after_unknown),
    "an operation of no contract": outcome("checkout", "o1", op="chekout"),
    "an argument too few": outcome("add_funds", "u0", args=["u0"]),
    "an amount that is no number": outcome("add_funds", "u0", args=["u0", "many"]),
    "a success with status 500": outcome("checkout", "o0", status=500),
    "a success with status 202": outcome("checkout", "o0", status=202),
    "a refusal with status 200": outcome("checkout", "o1", status=200),
    "a phase twice": steps(lambda tale: tale.mark("phase", name="final")),
    "phases out of order": steps(lambda tale: tale.mark("phase", name="up")),
}

UNDECIDED: dict[str, Edit] = {
    "a last read is missing": steps(lambda tale: tale.operations.pop(nth(tale, "find_user", "u0", number=-1))),
    "a last read of an order is missing": steps(
        lambda tale: tale.operations.pop(nth(tale, "find_order", "o3", number=-1))
    ),
    "a last read met a lock": outcome("find_order", "o3", number=-1, outcome="fail", status=409, value="locked"),
    "no last reads at all": steps(lambda tale: tale.events.__delitem__(slice(-1, None))),
    "an answer without its id": answer("find_order", "o0", order_id=None),
    "an answer without its price": answer("find_item", "i0", price=None),
    "an answer whose total is a text": answer("find_order", "o0", total_cost="13"),
    "nobody is served after the first fault": lambda: a_run(middle=outages.nobody_served_after),
    "everybody is refused after the first fault": lambda: a_run(middle=outages.refused_for_no_reason_after),
    "no order comes about after the first fault": lambda: a_run(middle=outages.nothing_can_be_placed_after),
    "nobody made an order": steps(lambda tale: tale.operations.pop(nth(tale, "create_order", number=0))),
    "nobody made a user": steps(lambda tale: tale.operations.pop(nth(tale, "create_user", number=0))),
    "nobody made an item": steps(lambda tale: tale.operations.pop(nth(tale, "create_item", 3, number=0))),
    "no probe": steps(lambda tale: tale.events.pop(-2)),
}
"""Well-formed, and nobody can say that it holds."""
