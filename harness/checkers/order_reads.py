"""Each read of an order, at any time, against its additions, its checkouts, and the reads before it.

An order is one record of one service, and a 2xx acknowledges the operation on it. So a read that begins after an
answer must show its effect, whatever isolation the protocol claims between orders, stock and credit. A line keeps the
price at which it was added; the total is the sum of the lines. Of orders that `batch_init` created again, or that
were removed, only the sums are judged: no claim covers a late read of the former order.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from harness.checkers import removals
from harness.checkers.answers import is_well_formed, violation_of
from harness.checkers.claims import CONTRACT, KEPT
from harness.checkers.creations import FOREVER, Creations, find_creations, until
from harness.checkers.finding import Finding, Violation, conclude
from harness.checkers.operations import contents, denies
from harness.checkers.rejections import is_rejected_by_content
from harness.checkers.shop_model import OrderModel, build_model
from harness.checkers.sums import Slack
from harness.checkers.totals import Line, possible_total
from harness.history import History, Operation

EXCLUDED_BY = {
    "wrong-total": CONTRACT,
    "order-of-another-user": KEPT,
    "acknowledged-item-missing": KEPT,
    "item-from-nowhere": KEPT,
    "paid-before-checkout": KEPT,
    "acknowledged-checkout-missed": KEPT,
    "paid-then-unpaid": KEPT,
    "changed-after-payment": KEPT,
    "paid-order-refused": KEPT,
    "refused-then-paid": KEPT,
    **removals.EXCLUDED_BY,
}

MADE_LINES = 2
"""Lines of one piece each in an order of `batch_init`."""

CHANGES = frozenset({"add_item", "remove_item"})


@dataclass(slots=True)
class OrderHistory:
    """All operations on one order. `maker` is its creation, None if there are several, or none is known."""

    order: OrderModel
    maker: Operation | None
    removes: list[Operation]
    changes: list[Operation]
    final_ns: float

    @property
    def is_made_of_many(self) -> bool:
        return self.maker is not None and self.maker.op == "init_orders"

    @property
    def paid_ns(self) -> int:
        """The time in nanoseconds of the first acknowledged checkout."""
        acknowledged = (attempt.completed_ns for attempt in self.order.attempts if attempt.outcome == "ok")
        return min(acknowledged, default=FOREVER)


def check(history: History) -> Finding:
    """Judge every read of every order, and changes that were accepted after the payment."""
    creations, shop = history.derive(find_creations), history.derive(build_model)
    changes: dict[str, list[Operation]] = {}
    for operation in history.operations:
        if operation.op in CHANGES and operation.outcome != "fail":
            changes.setdefault(str(operation.args[0]), []).append(operation)
    violations: list[Violation] = []
    reads = 0
    for name, order in shop.orders.items():
        by_id = list(creations.of("order", name))
        mine = changes.get(name, [])
        record = OrderHistory(
            order,
            by_id[0] if len(by_id) == 1 and name not in creations.removed else None,
            [change for change in mine if change.op == "remove_item"],
            mine,
            shop.final_ns,
        )
        whole = [read for read in order.reads if is_well_formed(read)]
        reads += len(whole)
        violations += _judge(history, creations, record, whole)
        violations += removals.find_reappearances(history, creations, order, by_id)
    return conclude(violations, (), {"reads": reads})


def _judge(history: History, creations: Creations, record: OrderHistory, reads: list[Operation]) -> Iterator[Violation]:
    for read in reads:
        yield from _total(history, creations, record, read)
    if record.maker is None:
        return
    for read in reads:
        yield from _user(history, record, read)
        yield from _lines(history, record, read)
    yield from _paid(history, record, reads)
    for attempt in record.order.attempts:
        if is_rejected_by_content(attempt) and not denies(attempt) and attempt.invoked_ns > record.paid_ns:
            what = f"{record.order.name} was acknowledged as paid; a checkout that began later was rejected."
            yield violation_of(history, "paid-order-refused", what, *record.order.attempts, attempt)
    for change in record.changes:
        if change.outcome == "ok" and change.invoked_ns > record.paid_ns:
            what = f"{record.order.name} was changed after its payment had been acknowledged."
            yield violation_of(history, "changed-after-payment", what, *record.order.attempts, change)


def _total(history: History, creations: Creations, record: OrderHistory, read: Operation) -> Iterator[Violation]:
    read_contents = contents(read)
    if read_contents is None:
        return
    items, total = read_contents
    lines = {item: _added(creations, record, item) for item in items}
    nearest = possible_total(items, lines, total)
    if nearest is not None and nearest != total:
        what = f"{record.order.name} costs {total}, but its lines at the prices of their additions cost {nearest}."
        yield violation_of(history, "wrong-total", what, *_made(record), *record.order.adds, read)


def _added(creations: Creations, record: OrderHistory, item: str) -> list[Line] | None:
    """Return the lines of an item that may be in the order, with their prices; None if a price is unknown."""
    lines = []
    for made in creations.of("order", record.order.id):
        if made.op == "init_orders":
            lines += [Line(1, frozenset({int(made.args[3])}))] * MADE_LINES
    for add in record.order.adds:
        if str(add.args[1]) == item:
            prices = creations.prices(item, add.invoked_ns, until(add))
            if not prices:
                return None
            lines.append(Line(int(add.args[2]), prices))
    return lines or None


def _user(history: History, record: OrderHistory, read: Operation) -> Iterator[Violation]:
    assert record.maker is not None
    user = str(read.value["user_id"])
    if record.is_made_of_many:
        right = user.isdecimal() and int(user) < int(record.maker.args[2]) and user == record.order.user
    else:
        right = user == str(record.maker.args[0])
    if not right:
        what = f"{record.order.name} was read as an order of user {user}, and is not."
        earlier = [first for first in record.order.reads[:1] if first is not read]
        yield violation_of(history, "order-of-another-user", what, record.maker, *earlier, read)


def _lines(history: History, record: OrderHistory, read: Operation) -> Iterator[Violation]:
    """Judge each item's quantity in a read against the additions that are certain by then and those that are possible."""
    shown = contents(read)
    if shown is None or (read.invoked_ns >= record.final_ns and not record.is_made_of_many):
        return  # the checker exactly-once judges the final contents
    sure: dict[str, int] = {}
    unsure: dict[str, list[int]] = {}
    for add in record.order.adds:
        item, quantity = str(add.args[1]), int(add.args[2])
        if until(add) < read.invoked_ns and not _may_be_removed(record, item, read):
            sure[item] = sure.get(item, 0) + quantity
        elif add.invoked_ns < read.completed_ns:
            unsure.setdefault(item, []).append(quantity)
    off = {item: shown[0].get(item, 0) - sure.get(item, 0) for item in dict.fromkeys([*shown[0], *sure])}
    off = {item: Slack(unsure.get(item, ())).off(surplus) for item, surplus in off.items()}
    yield from _more_or_less(history, record, read, off)


def _may_be_removed(record: OrderHistory, item: str, read: Operation) -> bool:
    return any(str(removal.args[1]) == item and removal.invoked_ns < read.completed_ns for removal in record.removes)


def _more_or_less(history: History, record: OrderHistory, read: Operation, off: dict[str, int]) -> Iterator[Violation]:
    evidence = (*_made(record), *record.changes, read)
    extra = {item: more for item, more in off.items() if more > 0}
    for item, less in off.items():
        if less < 0:
            what = f"{record.order.name} shows {-less} less of item {item} than it must hold by then."
            yield violation_of(history, "acknowledged-item-missing", what, *evidence)
    if record.is_made_of_many:
        assert record.maker is not None
        items = int(record.maker.args[1])
        known = all(item.isdecimal() and int(item) < items for item in extra)
        if known and (sum(extra.values()) == MADE_LINES or record.removes):
            return
        what = f"{record.order.name} was created with {MADE_LINES} pieces of items 0 to {items - 1}, and shows {extra} besides."
        yield violation_of(history, "item-from-nowhere", what, *evidence)
    elif extra:
        what = f"{record.order.name} shows {extra} more than was added by then."
        yield violation_of(history, "item-from-nowhere", what, *evidence)


def _paid(history: History, record: OrderHistory, reads: list[Operation]) -> Iterator[Violation]:
    """Judge `paid` in each read: false before the first checkout that was not rejected, true after an acknowledged
    one, for ever.

    `seen` is the first read that shows the payment, by its end: a read that began after it must show the payment too, even
        where no client has an acknowledgement.
    """
    attempts = record.order.attempts
    first_ns = min((attempt.invoked_ns for attempt in attempts), default=FOREVER)
    paying_ns = min((attempt.invoked_ns for attempt in attempts if attempt.outcome != "fail"), default=FOREVER)
    seen: Operation | None = None
    for read in sorted(reads, key=lambda read: read.completed_ns):
        if read.value["paid"]:
            seen = seen or read
            if read.completed_ns < first_ns and attempts:
                what = f"{record.order.name} was read as paid before its first checkout."
                yield violation_of(history, "paid-before-checkout", what, *attempts, read)
            elif read.completed_ns < paying_ns and attempts and read.invoked_ns < record.final_ns:
                what = f"{record.order.name} was read as paid, but every checkout of it until then was rejected."
                yield violation_of(history, "refused-then-paid", what, *attempts, read)
        elif read.invoked_ns > record.paid_ns and read.invoked_ns < record.final_ns:
            what = f"{record.order.name} was acknowledged as paid; a read that began later shows it unpaid."
            yield violation_of(history, "acknowledged-checkout-missed", what, *attempts, read)
        elif seen and read.invoked_ns > seen.completed_ns:
            what = f"{record.order.name} was read as paid, and later as unpaid."
            yield violation_of(history, "paid-then-unpaid", what, *attempts, seen, read)


def _made(record: OrderHistory) -> tuple[Operation, ...]:
    return (record.maker,) if record.maker else ()
