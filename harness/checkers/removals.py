"""Removals are durable: a removed order is not served again, and a removed line is not in its order."""

from collections.abc import Iterator

from harness.checkers.answers import violation_of
from harness.checkers.claims import KEPT
from harness.checkers.creations import Creations, until
from harness.checkers.finding import Violation
from harness.checkers.operations import contents
from harness.checkers.shop_model import OrderModel
from harness.history import History, Operation

EXCLUDED_BY = {"removed-order-served": KEPT, "removed-item-remains": KEPT}


def find_reappearances(
    history: History, creations: Creations, order: OrderModel, made: list[Operation]
) -> Iterator[Violation]:
    """Yield the reappearances of a removed order, or of removed lines in an order with the creations `made`."""
    for removal in creations.removed.get(order.id, ()):
        if removal.outcome == "ok" and all(until(creation) < removal.invoked_ns for creation in made):
            later = [*order.reads, *order.attempts, *order.adds]
            for answer in later:
                if answer.outcome == "ok" and answer.invoked_ns > removal.completed_ns:
                    what = f"{order.name} had been removed, and was served afterwards."
                    yield violation_of(history, "removed-order-served", what, *made, removal, answer)
    if len(made) == 1 and made[0].op == "create_order":
        for read in order.reads:
            yield from _remains(history, order, read)


def _remains(history: History, order: OrderModel, read: Operation) -> Iterator[Violation]:
    """Yield items of which more remains than removals allow: each took at least one line, so the smallest ones."""
    shown = contents(read)
    for item in dict.fromkeys(str(removal.args[1]) for removal in order.removes if removal.op == "remove_item"):
        gone = [
            removal
            for removal in order.removes
            if removal.op == "remove_item"
            and str(removal.args[1]) == item
            and removal.outcome == "ok"
            and removal.completed_ns < read.invoked_ns
        ]
        lines = sorted(
            int(add.args[2]) for add in order.adds if str(add.args[1]) == item and add.invoked_ns < read.completed_ns
        )
        most = sum(lines[len(gone) :])
        if shown is not None and gone and shown[0].get(item, 0) > most:
            what = f"{order.name} shows {shown[0][item]} of item {item}, of which at most {most} can remain after removals."
            yield violation_of(history, "removed-item-remains", what, *order.adds, *gone, read)
