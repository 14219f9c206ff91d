"""Each read of a credit or a stock during the run, against all effects that may have reached the account by then.

Deposits and withdrawals are operations on one record of one service: a read shows those that were acknowledged before
it began and none that began after its end, whatever the protocol claims. Checkouts span services, so the isolation
level decides which of them a read may show. A read is explained first as strict serializability demands, then without
some acknowledged checkouts (`stale-read`), then with checkouts that were undone (`dirty-read`). A read without any of
these explanations is impossible.


A necessary condition for each read alone; `isolation` judges the reads together where a workload lets it.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from harness.checkers.answers import violation_of
from harness.checkers.claims import KEPT, Exclusion
from harness.checkers.creations import FOREVER, Creations, find_creations, until
from harness.checkers.finding import Finding, Violation, conclude
from harness.checkers.operations import amount, balance_in
from harness.checkers.shop_model import AccountModel, OrderModel, ShopModel, build_model
from harness.checkers.sums import Slack
from harness.history import History, Operation

EXCLUDED_BY = {
    "stale-read": Exclusion("isolation", frozenset({"strict-serializable"})),
    "dirty-read": Exclusion(
        "isolation", frozenset({"read-committed", "snapshot", "serializable", "strict-serializable"})
    ),
    "acknowledged-move-missed": KEPT,
    "read-from-the-future": KEPT,
    "impossible-balance": KEPT,
}

FEW = 10
"""Up to so many uncertain effects are judged exactly; more of them by the bounds of their sum."""


ANY = "any account"


class Effect(NamedTuple):
    """An effect on an account: a read that ends after `from_ns` may show `amount`, each that begins after `sure_ns`
    shows it.
    """

    from_ns: int
    sure_ns: int
    amount: int


@dataclass(slots=True)
class Effects:
    """Effects of one kind on one account, sorted by `from_ns`, with an index by `sure_ns` and its prefix sums."""

    all: Sequence[Effect]
    _from: list[int] = field(default_factory=list)
    _sure: list[int] = field(default_factory=list)
    _sums: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        self.all = sorted(self.all)
        self._from = [effect.from_ns for effect in self.all]
        by_end = sorted((effect.sure_ns, effect.amount) for effect in self.all)
        self._sure = [end for end, _ in by_end]
        for _, effect_amount in by_end:
            self._sums.append(self._sums[-1] + effect_amount)

    def at(self, read: Operation) -> tuple[int, list[int]]:
        """Return (sum of the amounts that are certainly in a read, amounts that may be).

        The uncertain ones are few and recent, so a scan backwards ends once it has all of them: a long history stays
        linear.
        """
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
    """All effects on an account between two resets: deposits and withdrawals, and checkouts under the three
    explanations.

    It covers reads from `since_ns` to `until_ns`.
    """

    account: AccountModel
    opening: int
    since_ns: int
    moves: Effects
    strict: Effects
    stale: Effects
    dirty: Effects
    until_ns: int
    """The first time at which the account may be reset, or a checkout of unknown amount may show."""

    def covers(self, read: Operation) -> bool:
        return self.since_ns <= read.invoked_ns and read.completed_ns <= self.until_ns


def check(history: History) -> Finding:
    """Judge every read of a balance except the final one, which the other checkers judge."""
    shop, creations = history.derive(build_model), history.derive(find_creations)
    unclear = _unclear(shop)
    violations: list[Violation] = []
    judged = skipped = 0
    for account in shop.every_account():
        reads = [read for read in account.reads if read is not account.final_read and balance_in(read) is not None]
        loose_ns = min(unclear.get(account.name, FOREVER), unclear[ANY])
        timelines = _timelines(creations, account, loose_ns) if reads else []
        for read in reads:
            timeline = next((candidate for candidate in timelines if candidate.covers(read)), None)
            if timeline is None:
                skipped += 1
                continue
            judged += 1
            violations += _judge(history, timeline, read)
    return conclude(violations, (), {"reads": judged, "reads_skipped": skipped})


def _timelines(creations: Creations, account: AccountModel, loose_ns: int) -> list[BalanceTimeline]:
    """Return a timeline for each span from a creation or reset of the account to the begin of the next reset.

    A span with an unknown first balance has none: two resets overlapped, or one has no answer and may still take
    effect.
    """
    made = sorted(creations.of(account.kind, account.id), key=lambda creation: creation.invoked_ns)
    ends = [creation.invoked_ns for creation in made[1:]]
    timelines = []
    latest_ns = -1
    for last, end_ns in zip(made, [*ends, FOREVER], strict=False):  # without a creation there is no span
        if latest_ns < last.invoked_ns and last.outcome == "ok":
            timelines.append(_timeline(account, last, min(end_ns, loose_ns)))
        latest_ns = max(latest_ns, until(last))
    return timelines


def _timeline(account: AccountModel, last: Operation, until_ns: int) -> BalanceTimeline:
    """Return the timeline that begins with the creation or reset `last`. Effects that ended before it are left out."""
    opening = int(last.args[1]) if last.op.startswith("init_") else 0
    draws = [(order, share) for order, share in account.draws if order.attempts]
    since_ns, set_ns = (last.invoked_ns, last.completed_ns) if last.op.startswith("init_") else (0, 0)
    return BalanceTimeline(
        account=account,
        opening=opening,
        since_ns=last.completed_ns,
        moves=Effects([_move(move, since_ns, last) for move in account.every_move if until(move) >= since_ns]),
        strict=Effects([effect for order, share in draws if (effect := _sold(order, share, set_ns))]),
        stale=Effects([_may_show(order, share) for order, share in draws if _sold(order, share, set_ns)]),
        dirty=Effects([_may_show(order, share) for order, share in draws]),
        until_ns=until_ns,
    )


def _move(move: Operation, since_ns: int, last: Operation) -> Effect:
    """Return the effect of a deposit or withdrawal. One that overlaps a `batch_init` may have come before it, and is
    uncertain.
    """
    met = move.invoked_ns <= last.completed_ns and since_ns > 0
    return Effect(move.invoked_ns, FOREVER if met else until(move), amount(move))


def _sold(order: OrderModel, share: int, set_ns: int) -> Effect | None:
    """Return the effect that strict serializability lets a read show of an order; None if it was never paid.

    `set_ns` is the end of the account's last reset. A checkout that began before it may have come first and been
    overwritten.
    """
    tried = [attempt for attempt in order.attempts if attempt.outcome != "fail"]
    if not tried or (order.paid is False and not order.has_outcome("ok")):
        return None
    sure_ns = min((attempt.completed_ns for attempt in tried if attempt.outcome == "ok"), default=FOREVER)
    if order.begun_ns <= set_ns or order.paid is not True:
        sure_ns = FOREVER  # reset meanwhile, or lost: another checker judges that
    return Effect(min(attempt.invoked_ns for attempt in tried), sure_ns, -share)


def _may_show(order: OrderModel, share: int) -> Effect:
    """Return the effect of an order that any read after its first checkout may show or not."""
    return Effect(order.begun_ns, FOREVER, -share)


def _unclear(shop: ShopModel) -> dict[str, int]:
    """Return, by account, the begin of the first checkout that may have taken an unknown amount from it.

    The contents of such an order are unknown, or changed between two checkouts.
    """
    first_ns = {ANY: FOREVER}
    for order in shop.orders.values():
        late = any(change.completed_ns > order.begun_ns for change in (*order.adds, *order.removes))
        if order.attempts and (late or order.recreated or not order.known):
            items = {str(add.args[1]) for add in order.adds} | set(order.items or ())
            names = [f"user {order.user}", *(f"item {item}" for item in items)] if order.user and items else [ANY]
            for name in names:
                first_ns[name] = min(first_ns.get(name, FOREVER), order.begun_ns)
    return first_ns


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
    yield violation_of(history, name, what, *made, *moves, *attempts, read)


def _off(timeline: BalanceTimeline, sold: Effects, read: Operation, left: int, moves: Effects | None = None) -> int:
    """Return the distance, with its sign, of a read balance from the nearest one that these effects explain."""
    sure, unsure = (moves or timeline.moves).at(read)
    gone, may_be_gone = sold.at(read)
    return _nearest(left - timeline.opening - sure - gone, [*unsure, *may_be_gone])


def _nearest(surplus: int, unsure: list[int]) -> int:
    """Return the distance of `surplus` from the nearest sum of uncertain amounts; beyond `FEW` only from its bounds.

    Bounds admit more than the sums do: a read may then pass that is wrong, and no right one fails.
    """
    if len(unsure) <= FEW:
        return Slack(unsure).off(surplus) if unsure else surplus
    low, high = sum(change for change in unsure if change < 0), sum(change for change in unsure if change > 0)
    return surplus - max(low, min(surplus, high))


def _why(timeline: BalanceTimeline, read: Operation, left: int) -> str:
    """Return the mildest explanation of a read that strict serializability excludes.

    Each step admits more effects than the step before, so the first explanation that fits is the weakest accusation.
    """
    if not _off(timeline, timeline.stale, read, left):
        return "stale-read"
    if not _off(timeline, timeline.dirty, read, left):
        return "dirty-read"
    never_sure = Effects([effect._replace(sure_ns=FOREVER) for effect in timeline.moves.all])
    if not _off(timeline, timeline.dirty, read, left, never_sure):
        return "acknowledged-move-missed"
    future = Effects([effect._replace(from_ns=0) for effect in timeline.dirty.all])
    future_moves = Effects([effect._replace(from_ns=0) for effect in timeline.moves.all])
    if not _off(timeline, future, read, left, future_moves):
        return "read-from-the-future"
    return "impossible-balance"
