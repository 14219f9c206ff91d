"""A history of the shop as transactions that add elements to sets and read sets.

The `sets` workload gives every checkout of a key a unique amount, a power of two. The difference between the opening
and a balance is then, bit by bit, the set of checkouts in it, observed through the public API alone. Keys are a
user's credit, an item's stock and an order's `paid`; all checkouts of one order are one transaction, since they have
one effect. A transaction of unknown outcome is aborted if the order is not paid at the end: a saga may have shown its
effects and then compensated them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from harness.checkers.operations import amount, balance_in, paid
from harness.checkers.shop_model import AccountModel, OrderModel, ShopModel, build_model
from harness.checkers.transactions import NO_SESSION, Status, Txn
from harness.history import History, Operation

PAID = 1
"""The one element of an order's key."""

NOBODYS = 1 << 63
"""An element without a checkout, whose amounts are at most 2^53. It stands for a balance above its opening."""

ALIAS = 1 << 64
"""The first element of rejected checkouts whose order was checked out again later."""


@dataclass(slots=True)
class SetHistory:
    """The history as transactions. `origins[i]` is the order or the read behind `txns[i]`; `skipped` keys are no sets."""

    txns: list[Txn] = field(default_factory=list)
    origins: list[OrderModel | Operation] = field(default_factory=list)
    keys: int = 0
    skipped: list[str] = field(default_factory=list)

    def append(
        self,
        origin: OrderModel | Operation,
        span: tuple[int, int, int | None],
        status: Status,
        adds: tuple[tuple[str, int], ...] = (),
        reads: tuple[tuple[str, int], ...] = (),
    ) -> None:
        """Add a transaction; `span` is its process, its begin and its end."""
        self.txns.append(Txn(len(self.txns), *span, status, adds, reads))
        self.origins.append(origin)


@dataclass(slots=True)
class _Key:
    """A balance that is a set; `aliases` are (element, begin of its order's later success, alias)."""

    account: AccountModel
    opening: int
    since_ns: int
    aliases: list[tuple[int, int, int]] = field(default_factory=list)


def find_sets(history: History) -> SetHistory | None:
    """Return the transactions of the history, or None unless more than half of its balances are sets."""
    shop = history.derive(build_model)
    if any(order.items is None and order.has_outcome("ok", "unknown") for order in shop.orders.values()):
        return None
    sets, keys = SetHistory(), {}
    for account in shop.every_account():
        if any(order.attempts for order, _ in account.draws):
            key = _as_set(account)
            if key:
                keys[account.name] = key
            else:
                sets.skipped.append(account.name)
    sets.keys = len(keys)
    if len(keys) <= len(sets.skipped) or not any(key.account.reads for key in keys.values()):
        return None
    for order in shop.orders.values():
        if order.attempts:
            _add_order(sets, keys, order)
    for read, name, state in _reads(shop, keys):
        sets.append(read, (read.process, read.invoked_ns, read.completed_ns), "committed", reads=((name, state),))
    return sets


def _as_set(account: AccountModel) -> _Key | None:
    """Return the key of an account, or None if its opening is unknown or its amounts are not distinct powers of two."""
    if account.opening is None or account.possible_openings or any(move.outcome != "ok" for move in account.moves):
        return None
    amounts = [share for order, share in account.draws if order.attempts]
    if any(share < 1 or share.bit_count() != 1 for share in amounts) or len(set(amounts)) < len(amounts):
        return None
    since_ns = max((move.completed_ns for move in account.moves), default=account.set_ns)
    if any(attempt.invoked_ns < since_ns for order, _ in account.draws for attempt in order.attempts):
        return None
    return _Key(account, account.opening + sum(map(amount, account.moves)), since_ns)


def _add_order(sets: SetHistory, keys: dict[str, _Key], order: OrderModel) -> None:
    """Add the transaction of an order, and one more for rejected checkouts before a later success."""
    shares = [(f"user {order.user}", order.total or 0)]
    shares += [(f"item {item}", quantity) for item, quantity in (order.items or {}).items()]
    adds = [(name, share) for name, share in shares if name in keys and share]
    adds.append((order.name, PAID))
    tried = [attempt for attempt in order.attempts if attempt.outcome != "fail"]
    refused = [attempt for attempt in order.attempts if attempt.outcome == "fail"]
    if not tried or (order.paid is False and not order.has_outcome("ok")):
        sets.append(order, _span(order.attempts), "aborted", tuple(adds))
        return
    status: Status = "committed" if order.has_outcome("ok") else "unknown"
    sets.append(order, _span(tried), status, tuple(adds))
    if refused:
        _add_refused(sets, keys, order, refused, adds)


def _add_refused(
    sets: SetHistory,
    keys: dict[str, _Key],
    order: OrderModel,
    refused: Sequence[Operation],
    adds: Sequence[tuple[str, int]],
) -> None:
    """Add an aborted transaction for the rejected checkouts of an order that was checked out again.

    One element cannot tell the attempts of an order apart, but time can: a read that ended before the successful
    attempt began saw an effect of a rejected one (G1a). `_state` gives such a read the alias, an element of this
    transaction.
    """
    began = sets.txns[-1].invoked_ns
    aliased = []
    for name, element in adds:
        if name in keys:
            aliases = keys[name].aliases
            aliases.append((element, began, ALIAS << len(aliases)))
            aliased.append((name, aliases[-1][2]))
    sets.append(order, _span(refused), "aborted", tuple(aliased))


def _span(attempts: Sequence[Operation]) -> tuple[int, int, int | None]:
    """Return (process, begin, end) of the time in which checkouts took effect, if at all; several belong to no session."""
    process = attempts[0].process if len(attempts) == 1 else NO_SESSION
    ended = min((attempt.completed_ns for attempt in attempts if attempt.outcome == "ok"), default=None)
    return process, min(attempt.invoked_ns for attempt in attempts), ended


def _reads(shop: ShopModel, keys: dict[str, _Key]) -> Iterator[tuple[Operation, str, int]]:
    """Yield (read, key, state) for each read of a set after its last deposit."""
    for name, key in keys.items():
        for read in key.account.reads:
            left = balance_in(read)
            if left is not None and read.invoked_ns >= key.since_ns:
                yield read, name, _state(key, read, key.opening - left)
    for order in shop.orders.values():
        if order.attempts:
            for read in order.reads:
                is_paid = paid(read)
                if is_paid is not None:
                    yield read, order.name, PAID if is_paid else 0


def _state(key: _Key, read: Operation, gone: int) -> int:
    """Return the set of checkouts in a read: the bits of the amount that is gone, with aliases for rejected attempts."""
    if gone < 0:
        return NOBODYS
    for element, began, alias in key.aliases:
        if gone & element and read.completed_ns < began:
            gone ^= element | alias
    return gone
