"""A builder of histories: a shop in memory executes each operation, so that the recorded answers are true.

Times are milliseconds. The run has every operation of the contract, each outcome, and operations that overlap.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from harness.history import Event, Header, History, Operation, RecordedClaims

MS = 1_000_000
STRICT, LOOSE = "strict-serializable", "none"

PROTOCOLS: dict[str, tuple[Any, Any]] = {
    "2pc": ("atomic", STRICT),
    "lua": ("atomic", STRICT),
    "escrow": ("atomic", LOOSE),
    "saga": ("eventually", LOOSE),
}
"""The claims of each protocol: atomicity and isolation."""


class HistoryBuilder:
    """A shop in memory and its history. Each operation takes the next millisecond, unless `at` is given."""

    def __init__(self) -> None:
        self.now = 0
        self.operations: list[Operation] = []
        self.events: list[Event] = []
        self.users: dict[str, int] = {}
        self.items: dict[str, list[int]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.must_hold: list[str] = []
        self._fresh = 1000

    def record(
        self, op: str, *args: Any, outcome: Any = "ok", process: int = 0, at: Any = None, happens: Any = None
    ) -> Any:
        """Execute an operation and record it. `happens`: an operation of unknown outcome takes effect; `at`: (begin, end)."""
        begin, end = at or (self.now, self.now + 1)
        self.now = max(self.now, end + 1)
        applied = outcome == "ok" if happens is None else happens
        value = getattr(self, f"_{op}")(*args) if applied else None
        if outcome == "unknown":
            process, self._fresh, value = self._fresh, self._fresh + 1, "0: no answer"
        if outcome == "fail":
            value = "not enough"
        status = {"ok": 200, "fail": 409, "unknown": 0}[outcome]
        done = Operation(process, op, list(args), begin * MS, end * MS, outcome, value, status=status)
        self.operations.append(done)
        return value

    def mark(self, kind: str, /, **data: Any) -> None:
        self.events.append(Event(kind, self.now * MS, data))
        self.now += 1

    def history(self, protocol: str = "2pc", workload: str = "checkout", complete: bool = True) -> History:
        atomicity, isolation = PROTOCOLS[protocol]
        claims = RecordedClaims(
            atomicity=atomicity, isolation=isolation, durability="always", recovery_s=5, blocking_s=5, outage_s=5
        )
        header = Header(
            protocol=protocol,
            claims=claims,
            scenario="corpus",
            workload=workload,
            durability="always",
            runtime="sim",
            seed=1,
            config={"must_hold": self.must_hold},
        )
        return History(header, self.operations, self.events, complete)

    # ------------------------------------------------------------ the shop

    def _create_user(self) -> dict[str, str]:
        name = f"u{len(self.users)}"
        self.users[name] = 0
        return {"user_id": name}

    def _create_item(self, price: int) -> dict[str, str]:
        name = f"i{len(self.items)}"
        self.items[name] = [0, price]
        return {"item_id": name}

    def _create_order(self, user: str) -> dict[str, str]:
        name = f"o{len(self.orders)}"
        self.orders[name] = {"user": user, "lines": [], "paid": False}
        return {"order_id": name}

    def _init_users(self, count: int, credit: int) -> None:
        self.users.update({str(number): credit for number in range(count)})

    def _init_items(self, count: int, stock: int, price: int) -> None:
        self.items.update({str(number): [stock, price] for number in range(count)})

    def _init_orders(self, count: int, items: int, users: int, price: int) -> None:
        for number in range(count):
            lines = [(str(number % items), 1, price), (str((number + 1) % items), 1, price)]
            self.orders[str(number)] = {"user": str(number % users), "lines": lines, "paid": False}

    def _add_funds(self, user: str, amount: int) -> None:
        self.users[user] += amount

    def _pay(self, user: str, amount: int) -> None:
        self.users[user] -= amount

    def _add_stock(self, item: str, amount: int) -> None:
        self.items[item][0] += amount

    def _subtract_stock(self, item: str, amount: int) -> None:
        self.items[item][0] -= amount

    def _add_item(self, order: str, item: str, quantity: int) -> None:
        self.orders[order]["lines"].append((item, quantity, self.items[item][1]))

    def _remove_item(self, order: str, item: str) -> None:
        lines = self.orders[order]["lines"]
        lines.remove(next(line for line in lines if line[0] == item))

    def _remove_order(self, order: str) -> None:
        del self.orders[order]

    def _checkout(self, order: str) -> None:
        found = self.orders[order]
        if not found["paid"]:
            found["paid"] = True
            for item, quantity, price in found["lines"]:
                self.items[item][0] -= quantity
                self.users[found["user"]] -= quantity * price

    def _find_user(self, user: str) -> dict[str, Any]:
        return {"user_id": user, "credit": self.users[user]}

    def _find_item(self, item: str) -> dict[str, Any]:
        return {"stock": self.items[item][0], "price": self.items[item][1]}

    def _find_order(self, order: str) -> dict[str, Any]:
        found = self.orders[order]
        lines = [[item, quantity] for item, quantity, _ in found["lines"]]
        total = sum(quantity * price for _, quantity, price in found["lines"])
        return {"order_id": order, "paid": found["paid"], "items": lines, "user_id": found["user"], "total_cost": total}


def a_run(
    *, late: tuple[str, ...] = ("o4",), middle: Callable[[HistoryBuilder], object] = lambda _: None
) -> HistoryBuilder:
    """A run that holds. `late` are the checkouts of unknown outcome that take effect; `middle` adds to the load."""
    builder = HistoryBuilder()
    record = builder.record
    builder.mark("phase", name="setup")
    for _ in range(3):
        record("create_user")
    for price in (5, 3, 7):
        record("create_item", price)
    for user in ("u0", "u1", "u2"):
        record("add_funds", user, 100)
    record("add_stock", "i0", 40)
    record("add_stock", "i1", 30)
    builder.mark("phase", name="load")
    for user, lines in ORDERS:
        record("create_order", user, process=1)
        for item, quantity in lines:
            record("add_item", f"o{len(builder.orders) - 1}", item, quantity, process=1)
    record("find_order", "o0", process=2)
    record("find_user", "u0", process=2)
    record("checkout", "o0", process=3)
    record("find_order", "o0", process=3)
    record("find_user", "u0", process=3)
    record("find_item", "i0", process=3)
    record("checkout", "o1", outcome="fail", process=3)
    record("find_order", "o1", process=3)
    record("add_funds", "u0", 50, process=4)
    record("find_user", "u0", process=4)
    record("pay", "u1", 10, process=4)
    record("find_user", "u1", process=4)
    record("add_stock", "i1", 6, process=4)
    record("subtract_stock", "i0", 2, process=4)
    record("find_item", "i1", process=4)
    at = builder.now
    record("checkout", "o2", process=5, at=(at, at + 6))
    record("checkout", "o2", process=6, at=(at + 1, at + 7))
    record("checkout", "o2", process=5)
    record("find_order", "o2", process=6)
    record("checkout", "o3", process=5)
    for order in ("o4", "o5"):
        record("checkout", order, outcome="unknown", happens=order in late)
    record("add_funds", "u2", 9, outcome="unknown", happens="u2" in late)
    record("checkout", "o6", process=5)
    middle(builder)
    builder.mark("phase", name="heal")
    builder.mark("healed")
    builder.mark("probe", in_doubt=0, locks=0, fences=0, open=0)
    builder.mark("phase", name="final")
    for order in builder.orders:
        record("find_order", order, process=20)
    for user in builder.users:
        record("find_user", user, process=21)
    for item in builder.items:
        record("find_item", item, process=22)
    return builder


ORDERS: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = (
    ("u0", (("i0", 2), ("i1", 1))),  # 13, paid
    ("u1", (("i2", 1),)),  # 7, refused: nothing of it is there
    ("u1", (("i1", 4),)),  # 12, paid, checked out three times
    ("u2", (("i0", 1), ("i0", 1))),  # 10, paid: the same item twice
    ("u0", (("i1", 2),)),  # 6, unknown, and paid
    ("u2", (("i0", 3),)),  # 15, unknown, and not paid
    ("u2", ()),  # 0, paid
)


def changed(operation: Operation, **changes: Any) -> Operation:
    return msgspec.structs.replace(operation, **changes)
