"""What was taken out stays out: an order that was removed is not found again, and a line that was removed is not in it."""

from collections.abc import Iterator

from harness.checkers.answers import accuse
from harness.checkers.claims import KEPT
from harness.checkers.creations import Creations, until
from harness.checkers.finding import Violation
from harness.checkers.shop_model import OrderModel, contents
from harness.history import History, Operation

PROMISES = {"removed-order-served": KEPT, "removed-item-remains": KEPT}


def find_reappearances(
    history: History, creations: Creations, order: OrderModel, made: list[Operation]
) -> Iterator[Violation]:
    """Of an order and all that made it."""
    for removal in creations.removed.get(order.id, ()):
        if removal.outcome == "ok" and all(until(each) < removal.invoked_ns for each in made):
            later = [*order.reads, *order.attempts, *order.adds]
            for answer in later:
                if answer.outcome == "ok" and answer.invoked_ns > removal.completed_ns:
                    what = f"{order.name} had been removed, and was served all the same."
                    yield accuse(history, "removed-order-served", what, *made, removal, answer)
    if len(made) == 1 and made[0].op == "create_order":
        for read in order.reads:
            yield from _remains(history, order, read)


def _remains(history: History, order: OrderModel, read: Operation) -> Iterator[Violation]:
    """Each removal took a line at least, so what is left is no more than all lines but the smallest."""
    found = contents(read)
    for item in dict.fromkeys(str(each.args[1]) for each in order.removes if each.op == "remove_item"):
        gone = [
            each
            for each in order.removes
            if each.op == "remove_item"
            and str(each.args[1]) == item
            and each.outcome == "ok"
            and each.completed_ns < read.invoked_ns
        ]
        lines = sorted(
            int(add.args[2]) for add in order.adds if str(add.args[1]) == item and add.invoked_ns < read.completed_ns
        )
        most = sum(lines[len(gone) :])
        if found is not None and gone and found[0].get(item, 0) > most:
            what = f"{order.name} shows {found[0][item]} of item {item}, of which {most} can be left after removals."
            yield accuse(history, "removed-item-remains", what, *order.adds, *gone, read)
