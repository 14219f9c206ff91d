"""Each read of a credit or a stock while the shop works, against all that may have been applied to it by then.

Deposits and withdrawals are operations on one record of one service: what was acknowledged before a read began is in
it, what was asked for after it ended is not, whatever the protocol claims. Checkouts cross services, so what a read
may show of them is a question of isolation: a read is explained first as strict serializability demands, then with
checkouts missing that were acknowledged (`stale-read`), then with those that were undone (`dirty-read`). What none of
these explains is impossible.

A necessary condition for each read alone; `isolation` judges the reads together where a workload lets it.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.checkers.answers import accuse
from harness.checkers.claims import KEPT, Promise
from harness.checkers.creations import FOREVER, Creations, find_creations, until
from harness.checkers.finding import Finding, Violation, conclude
from harness.checkers.shop_model import AccountModel, OrderModel, ShopModel, amount, balance_in, build_model
from harness.checkers.sums import Slack
from harness.history import History, Operation

PROMISES = {
    "stale-read": Promise("isolation", frozenset({"strict-serializable"})),
    "dirty-read": Promise(
        "isolation", frozenset({"read-committed", "snapshot", "serializable", "strict-serializable"})
    ),
    "acknowledged-move-missed": KEPT,
    "read-from-the-future": KEPT,
    "impossible-balance": KEPT,
}

FEW = 10
"""Up to so many effects of which a read may show any are judged exactly; beyond, by the bounds of their sum."""


ANY = "any account"


class Effect(NamedTuple):
    """`amount` may be in a read that ends after `from_ns`, and is in each that begins after `sure_ns`."""

    from_ns: int
    sure_ns: int
    amount: int


@dataclass(slots=True)
class Effects:
    """Effects of one kind on one account, in the order in which they may begin to show."""

    all: Sequence[Effect]
    _from: list[int] = field(default_factory=list)
    _sure: list[int] = field(default_factory=list)
    _sums: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        self.all = sorted(self.all)
        self._from = [each.from_ns for each in self.all]
        by_end = sorted((each.sure_ns, each.amount) for each in self.all)
        self._sure = [end for end, _ in by_end]
        for _, each in by_end:
            self._sums.append(self._sums[-1] + each)

    def at(self, read: Operation) -> tuple[int, list[int]]:
        """(sum of what is certainly in this read, amounts of which each may be)."""
        begun, over = bisect_left(self._from, read.completed_ns), bisect_left(self._sure, read.invoked_ns)
        unsure, left = [], begun - over
        for position in range(begun - 1, -1, -1):
            if not left:
                break
            if self.all[position].sure_ns >= read.invoked_ns:
                unsure.append(self.all[position].amount)
                left -= 1
        return self._sums[over], unsure


@dataclass(slots=True)
class BalanceTimeline:
    """All effects on one life of an account: of deposits and withdrawals, and of checkouts under the three readings
    of a read.

    It is about reads from `since_ns` to `until_ns`.
    """

    account: AccountModel
    opening: int
    since_ns: int
    moves: Effects
    strict: Effects
    stale: Effects
    dirty: Effects
    until_ns: int
    """From here on it is set anew, or a checkout may show an amount that nobody knows."""

    def covers(self, read: Operation) -> bool:
        return self.since_ns <= read.invoked_ns and read.completed_ns <= self.until_ns


def check(history: History) -> Finding:
    """Every read of a balance but the last, which the other checkers judge."""
    shop, creations = history.derive(build_model), history.derive(find_creations)
    unclear = _unclear(shop)
    violations: list[Violation] = []
    judged = skipped = 0
    for account in shop.every_account():
        reads = [read for read in account.reads if read is not account.final_read and balance_in(read) is not None]
        loose_ns = min(unclear.get(account.name, FOREVER), unclear[ANY])
        timelines = _timelines(creations, account, loose_ns) if reads else []
        for read in reads:
            timeline = next((each for each in timelines if each.covers(read)), None)
            if timeline is None:
                skipped += 1
                continue
            judged += 1
            violations += _judge(history, timeline, read)
    return conclude(violations, (), {"reads": judged, "reads_skipped": skipped})


def _timelines(creations: Creations, account: AccountModel, loose_ns: int) -> list[BalanceTimeline]:
    """One for each life of the account: it begins when it is made or set anew, and ends when somebody asks to set it
    anew.

    There is none where nobody knows what it began with: two did so at once, or one had no answer, which may still
    come.
    """
    made = sorted(creations.of(account.kind, account.id), key=lambda each: each.invoked_ns)
    ends = [*(each.invoked_ns for each in made[1:]), FOREVER]
    timelines = []
    latest_ns = -1
    for last, end_ns in zip(made, ends, strict=True):
        if latest_ns < last.invoked_ns and last.outcome == "ok":
            timelines.append(_timeline(account, last, min(end_ns, loose_ns)))
        latest_ns = max(latest_ns, until(last))
    return timelines


def _timeline(account: AccountModel, last: Operation, until_ns: int) -> BalanceTimeline:
    """Of the life that began with `last`. What was done before is not in it."""
    opening = int(last.args[1]) if last.op.startswith("init_") else 0
    draws = [(order, each) for order, each in account.draws if order.attempts]
    since_ns, set_ns = (last.invoked_ns, last.completed_ns) if last.op.startswith("init_") else (0, 0)
    return BalanceTimeline(
        account=account,
        opening=opening,
        since_ns=last.completed_ns,
        moves=Effects([_move(each, since_ns, last) for each in account.every_move if until(each) >= since_ns]),
        strict=Effects([each for order, share in draws if (each := _sold(order, share, set_ns))]),
        stale=Effects([_may_show(order, share) for order, share in draws if _sold(order, share, set_ns)]),
        dirty=Effects([_may_show(order, share) for order, share in draws]),
        until_ns=until_ns,
    )


def _move(move: Operation, since_ns: int, last: Operation) -> Effect:
    """One that met a `batch_init` half-way may have come before it."""
    met = move.invoked_ns <= last.completed_ns and since_ns > 0
    return Effect(move.invoked_ns, FOREVER if met else until(move), amount(move))


def _sold(order: OrderModel, share: int, set_ns: int) -> Effect | None:
    """What strict serializability lets a read see of this order; None if it was never paid.

    `set_ns`: when the account was set anew. A checkout that began before, also while that was done, may have come
    first.
    """
    tried = [attempt for attempt in order.attempts if attempt.outcome != "fail"]
    if not tried or (order.paid is False and not order.has_outcome("ok")):
        return None
    sure_ns = min((attempt.completed_ns for attempt in tried if attempt.outcome == "ok"), default=FOREVER)
    if order.begun_ns <= set_ns or order.paid is not True:
        sure_ns = FOREVER  # set anew meanwhile, or lost: another checker's business
    return Effect(min(attempt.invoked_ns for attempt in tried), sure_ns, -share)


def _may_show(order: OrderModel, share: int) -> Effect:
    return Effect(order.begun_ns, FOREVER, -share)


def _unclear(shop: ShopModel) -> dict[str, int]:
    """By account, when the first checkout began that may have touched it by an amount that is not known.

    The contents of its order are not known, or were changed between two checkouts.
    """
    found = {ANY: FOREVER}
    for order in shop.orders.values():
        late = any(change.completed_ns > order.begun_ns for change in (*order.adds, *order.removes))
        if order.attempts and (late or order.recreated or not order.known):
            items = {str(add.args[1]) for add in order.adds} | set(order.items or ())
            names = [f"user {order.user}", *(f"item {item}" for item in items)] if order.user and items else [ANY]
            for name in names:
                found[name] = min(found.get(name, FOREVER), order.begun_ns)
    return found


def _judge(history: History, timeline: BalanceTimeline, read: Operation) -> Iterator[Violation]:
    left = balance_in(read)
    assert left is not None
    off = _off(timeline, timeline.strict, read, left)
    if not off:
        return
    name = _why(timeline, read, left)
    account = timeline.account
    more = "more" if off > 0 else "less"
    what = f"{account.name} was read with {left} {account.holds}, {abs(off)} {more} than it can have had."
    orders = [order for order, _ in account.draws if order.attempts and order.begun_ns < read.completed_ns][-3:]
    attempts = [attempt for order in orders for attempt in order.attempts]
    moves = [move for move in account.every_move if move.invoked_ns < read.completed_ns][-5:]
    made = [account.created] if account.created else []
    yield accuse(history, name, what, *made, *moves, *attempts, read)


def _off(timeline: BalanceTimeline, sold: Effects, read: Operation, left: int, moves: Effects | None = None) -> int:
    """How far the balance read is from the nearest that these effects explain."""
    sure, unsure = (moves or timeline.moves).at(read)
    gone, may_be_gone = sold.at(read)
    return _nearest(left - timeline.opening - sure - gone, [*unsure, *may_be_gone])


def _nearest(surplus: int, unsure: list[int]) -> int:
    if len(unsure) <= FEW:
        return Slack(unsure).off(surplus) if unsure else surplus
    low, high = sum(each for each in unsure if each < 0), sum(each for each in unsure if each > 0)
    return surplus - max(low, min(surplus, high))


def _why(timeline: BalanceTimeline, read: Operation, left: int) -> str:
    """The mildest explanation of a read that strict serializability excludes."""
    if not _off(timeline, timeline.stale, read, left):
        return "stale-read"
    if not _off(timeline, timeline.dirty, read, left):
        return "dirty-read"
    never_sure = Effects([each._replace(sure_ns=FOREVER) for each in timeline.moves.all])
    if not _off(timeline, timeline.dirty, read, left, never_sure):
        return "acknowledged-move-missed"
    future = Effects([each._replace(from_ns=0) for each in timeline.dirty.all])
    future_moves = Effects([each._replace(from_ns=0) for each in timeline.moves.all])
    if not _off(timeline, future, read, left, future_moves):
        return "read-from-the-future"
    return "impossible-balance"
