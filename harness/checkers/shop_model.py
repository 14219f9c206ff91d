"""The model of a shop that a history describes: users, items and orders with their operations and final reads.

The conservation, atomicity, exactly-once and isolation checkers share it. Ids are strings.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from harness.checkers.operations import DEPOSITS, AccountKind, contents, denies, field_of, new_id, paid
from harness.history import History, Operation


@dataclass(slots=True, eq=False)
class AccountModel:
    """A user's credit or an item's stock. `opening` is the first balance, None if it is unknown.

    `moves` are the deposits and withdrawals that were not rejected (`every_move`: also those before the last reset);
    `draws` are (order, amount) for every order with known contents; `final_read` is the last read of the final
    phase. A `batch_init` resets an account at `set_ns`, the time of its answer: operations that began before may count or
    not. `possible_openings` has the balances of resets without an answer, which may take effect at any later time.
    """

    kind: AccountKind
    id: str
    opening: int | None = None
    prices: set[int] = field(default_factory=set)
    set_ns: int = -1
    possible_openings: list[int] = field(default_factory=list)
    touched: bool = False
    created: Operation | None = None
    moves: list[Operation] = field(default_factory=list)
    every_move: list[Operation] = field(default_factory=list)
    reads: list[Operation] = field(default_factory=list)
    draws: list[tuple["OrderModel", int]] = field(default_factory=list)
    final_read: Operation | None = None

    @property
    def name(self) -> str:
        return f"{self.kind} {self.id}"

    @property
    def price(self) -> int | None:
        """The price of an item, None if it is unknown or changed."""
        return next(iter(self.prices)) if len(self.prices) == 1 else None

    @property
    def holds(self) -> str:
        """The name of the balance: credit or stock."""
        return "credit" if self.kind == "user" else "stock"


@dataclass(slots=True, eq=False)
class OrderModel:
    """An order; `items` and `total` are None if its contents are unknown.

    `paid` is its state at the end, None without a final read; `final_read` is the last read of the final phase.
    `removes` are removals of its lines or of the whole; `recreated`: `batch_init` created it again after a checkout.
    """

    id: str
    user: str | None = None
    created: Operation | None = None
    adds: list[Operation] = field(default_factory=list)
    removes: list[Operation] = field(default_factory=list)
    recreated: bool = False
    attempts: list[Operation] = field(default_factory=list)
    reads: list[Operation] = field(default_factory=list)
    final_read: Operation | None = None
    paid: bool | None = None
    items: dict[str, int] | None = None
    total: int | None = None

    @property
    def name(self) -> str:
        return f"order {self.id}"

    @property
    def known(self) -> bool:
        """Whether its contents are known."""
        return self.items is not None

    @property
    def begun_ns(self) -> int:
        """The begin of its first checkout in nanoseconds; a time beyond all others without one."""
        return min((attempt.invoked_ns for attempt in self.attempts), default=1 << 100)

    def has_outcome(self, *outcomes: str) -> bool:
        """Whether a checkout of it had one of these outcomes."""
        return any(attempt.outcome in outcomes for attempt in self.attempts)

    @property
    def gone(self) -> bool:
        """Whether the final read denies the order: it was read, and is lost."""
        return self.final_read is not None and denies(self.final_read)

    def operations(self) -> Iterator[Operation]:
        """Yield all operations on it, and the final read."""
        yield from (
            operation
            for operation in (self.created, *self.adds, *self.removes, *self.attempts, self.final_read)
            if operation
        )


class ShopModel:
    """The shop of a history: users, items and orders by id."""

    def __init__(self, history: History) -> None:
        self.accounts: dict[AccountKind, dict[str, AccountModel]] = {"user": {}, "item": {}}
        self.orders: dict[str, OrderModel] = {}
        final_ns = history.phase_ns("final")
        self.final_ns = float("inf") if final_ns is None else final_ns
        for operation in sorted(history.operations, key=lambda operation: operation.completed_ns):
            handle = _HANDLERS.get(operation.op)
            if handle:
                handle(self, operation)
        for order in self.orders.values():
            self._resolve(order)

    def account(self, kind: AccountKind, name: str) -> AccountModel:
        """Return the account of an id, a new one if it is new."""
        account = self.accounts[kind].get(name)
        if account is None:
            account = self.accounts[kind][name] = AccountModel(kind, name)
        return account

    def order(self, name: str) -> OrderModel:
        """Return the order of an id, a new one if it is new."""
        order = self.orders.get(name)
        if order is None:
            order = self.orders[name] = OrderModel(name)
        return order

    def every_account(self) -> Iterator[AccountModel]:
        """Yield the users, then the items."""
        yield from self.accounts["user"].values()
        yield from self.accounts["item"].values()

    def _resolve(self, order: OrderModel) -> None:
        """Derive the contents of an order, and from them its amount of each account."""
        order.paid = paid(order.final_read) if order.final_read else None
        known = self._contents(order)
        if known is None or order.user is None:
            return
        order.items, order.total = known
        if order.total:
            self.account("user", order.user).draws.append((order, order.total))
        for item, quantity in order.items.items():
            self.account("item", item).draws.append((order, quantity))

    def _contents(self, order: OrderModel) -> tuple[dict[str, int], int] | None:
        """Return (quantity by item, total) from the final read; else from the additions; else, for a `batch_init`
        order, any read.
        """
        if order.final_read:
            final = contents(order.final_read)
            if final:
                return final
        if order.created and not order.removes and all(add.outcome == "ok" for add in order.adds):
            return self._added(order)
        return contents(order.reads[-1]) if order.reads and not order.adds and not order.removes else None

    def _added(self, order: OrderModel) -> tuple[dict[str, int], int] | None:
        items: dict[str, int] = {}
        total = 0
        for add in order.adds:
            item, quantity = str(add.args[1]), int(add.args[2])
            price = self.account("item", item).price
            if price is None:
                return None
            items[item] = items.get(item, 0) + quantity
            total += quantity * price
        return items, total


def build_model(history: History) -> ShopModel:
    """Return the model of a history; use `history.derive(build_model)`."""
    return ShopModel(history)


def _create_account(shop: ShopModel, operation: Operation) -> None:
    if operation.outcome == "ok":
        kind: AccountKind = "user" if operation.op == "create_user" else "item"
        account = shop.account(kind, new_id(operation, f"{kind}_id"))
        account.opening, account.created = 0, operation
        if kind == "item":
            account.prices.add(int(operation.args[0]))


def _init_accounts(shop: ShopModel, operation: Operation) -> None:
    if operation.outcome == "fail":
        return
    kind: AccountKind = "user" if operation.op == "init_users" else "item"
    count, opening, *price = map(int, operation.args)
    for number in range(count):
        account = shop.account(kind, str(number))
        account.prices.update(price)
        if operation.outcome == "ok":
            account.opening, account.created, account.set_ns = opening, operation, operation.completed_ns
            account.moves = [move for move in account.moves if _may_come_after(move, operation)]
        else:
            account.possible_openings.append(opening)


def _may_come_after(move: Operation, init: Operation) -> bool:
    return move.outcome == "unknown" or move.completed_ns >= init.invoked_ns


def _init_orders(shop: ShopModel, operation: Operation) -> None:
    if operation.outcome != "fail":
        for number in range(int(operation.args[0])):
            order = shop.order(str(number))
            order.recreated = order.recreated or order.has_outcome("ok", "unknown")


def _move(shop: ShopModel, operation: Operation) -> None:
    account = shop.account(DEPOSITS[operation.op][0], str(operation.args[0]))
    account.touched = account.touched or not denies(operation)
    if operation.outcome != "fail":
        account.moves.append(operation)
        account.every_move.append(operation)


def _read_account(shop: ShopModel, operation: Operation) -> None:
    kind: AccountKind = "user" if operation.op == "find_user" else "item"
    account = shop.account(kind, str(operation.args[0]))
    account.touched = account.touched or not denies(operation)
    if operation.outcome == "ok":
        account.reads.append(operation)
    if operation.invoked_ns >= shop.final_ns and _better(account.final_read, operation):
        account.final_read = operation


def _create_order(shop: ShopModel, operation: Operation) -> None:
    if operation.outcome == "ok":
        order = shop.order(new_id(operation, "order_id"))
        order.user, order.created = str(operation.args[0]), operation


def _add_item(shop: ShopModel, operation: Operation) -> None:
    if operation.outcome != "fail":
        shop.order(str(operation.args[0])).adds.append(operation)


def _remove(shop: ShopModel, operation: Operation) -> None:
    if operation.outcome != "fail":
        shop.order(str(operation.args[0])).removes.append(operation)


def _checkout(shop: ShopModel, operation: Operation) -> None:
    shop.order(str(operation.args[0])).attempts.append(operation)


def _read_order(shop: ShopModel, operation: Operation) -> None:
    order = shop.order(str(operation.args[0]))
    if operation.outcome == "ok":
        order.reads.append(operation)
        if order.user is None and field_of(operation, "user_id") is not None:
            order.user = str(field_of(operation, "user_id"))
    if operation.invoked_ns >= shop.final_ns and _better(order.final_read, operation):
        order.final_read = operation


def _better(old: Operation | None, new: Operation) -> bool:
    """Whether a later final read replaces an earlier one: an answer does, an unknown outcome or another rejection
    does not.
    """
    return old is None or new.outcome == "ok" or denies(new)


_HANDLERS: dict[str, Callable[[ShopModel, Operation], None]] = {
    "create_user": _create_account,
    "create_item": _create_account,
    "init_users": _init_accounts,
    "init_items": _init_accounts,
    "init_orders": _init_orders,
    **dict.fromkeys(DEPOSITS, _move),
    "find_user": _read_account,
    "find_item": _read_account,
    "create_order": _create_order,
    "add_item": _add_item,
    "remove_item": _remove,
    "remove_order": _remove,
    "checkout": _checkout,
    "find_order": _read_order,
}
