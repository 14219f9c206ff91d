"""A shop of Flask and threads in one process, with its state in SQLite.

    python -m tests.shops.flask_shop --port 0 --data DIR [--faults NAME,...]

Every request is one transaction of one connection, under one lock. A fault that needs others to come between lets them in with
`Database.gap`.
"""

import argparse
import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask, jsonify
from werkzeug.serving import WSGIRequestHandler, make_server

from tests.shops.contract import LARGEST_BATCH, LIMIT, Rejected, Unknown, number
from tests.shops.faults import SUPPORTED, Faults
from tests.shops.flask_database import Database

DIRTY_S = 0.05
LOCK_WAIT_S = 0.3


class Change(NamedTuple):
    """A difference to one stock or credit, and the balance that the plan saw."""

    table: str
    column: str
    key: str
    before: int
    delta: int


class Shop:
    """The operations of the contract. Each runs inside one transaction."""

    def __init__(self, database: Database, faults: Faults) -> None:
        self.database = database
        self.faults = faults
        self.run = database.run
        self._ids = 0
        self._busy: set[str] = set()
        self._previous: dict[str, dict[str, Any]] = {}

    def new_id(self, kind: str) -> str:
        if "ids-reused" in self.faults:
            self._ids += 1
            return f"{kind}-{self._ids}"
        ((last,),) = self.run("UPDATE ids SET next = next + 1 RETURNING next").fetchall()
        return f"{kind}-{last}"

    def row(self, columns: str, table: str, key: str) -> Any:
        found = self.run(f"SELECT {columns} FROM {table} WHERE id = ?", (key,)).fetchone()
        if found is None:
            raise Rejected(f"no {table[:-1]} {key!r}", 404)
        return found

    def read(self, kind: str, answer: dict[str, Any]) -> dict[str, Any]:
        previous = self._previous.get(kind, answer)
        self._previous[kind] = answer
        return previous if self.faults.strikes("wrong-answer") else answer

    # -------- balances

    def planned(self, table: str, key: str, delta: int) -> Change:
        column = "stock" if table == "items" else "credit"
        (before,) = self.row(column, table, key)
        if delta < 0 and before + delta < 0 and "negative-balance" not in self.faults:
            raise Rejected(f"{table[:-1]} {key!r} has {column} {before}, and {-delta} is needed")
        if before + delta > LIMIT:
            raise Rejected(f"the {column} of {table[:-1]} {key!r} would be above {LIMIT}")
        return Change(table, column, key, before, delta)

    def apply(self, changes: list[Change]) -> None:
        if "lost-update" in self.faults:
            self.database.gap()
            for table, column, key, before, delta in changes:
                self.run(f"UPDATE {table} SET {column} = ? WHERE id = ?", (before + delta, key))
            return
        for table, column, key, _, delta in changes:
            self.run(f"UPDATE {table} SET {column} = {column} + ? WHERE id = ?", (delta, key))

    def change(self, table: str, key: str, delta: int) -> str:
        self.apply([self.planned(table, key, delta)])
        return f"{table[:-1]} {key!r} changed by {delta}"

    # -------- orders

    def create(self, table: str, *values: Any) -> str:
        key = self.new_id(table[:-1])
        self.run(f"INSERT OR REPLACE INTO {table} VALUES (?{', ?' * len(values)})", (key, *values))
        return key

    def create_order(self, user_id: str) -> dict[str, str]:
        return {"order_id": self.create("orders", user_id, 0, "open")}

    def lines(self, order_id: str) -> list[tuple[str, int]]:
        return self.run("SELECT item_id, quantity FROM lines WHERE order_id = ? ORDER BY rowid", (order_id,)).fetchall()

    def find_order(self, order_id: str) -> dict[str, Any]:
        user_id, total, state = self.row("user_id, total, state", "orders", order_id)
        return {
            "order_id": order_id,
            "paid": state == "paid",
            "items": self.lines(order_id),
            "user_id": user_id,
            "total_cost": total,
        }

    def add_item(self, order_id: str, item_id: str, quantity: int) -> str:
        total, state = self.row("total, state", "orders", order_id)
        if state in {"paid", "checkout"} or order_id in self._busy:
            raise Rejected(f"order {order_id!r} is paid or in checkout")
        (price,) = self.row("price", "items", item_id)
        if total + quantity * price > LIMIT:
            raise Rejected(f"the total of order {order_id!r} would be above {LIMIT}")
        self.run("INSERT INTO lines VALUES (?, ?, ?)", (order_id, item_id, quantity))
        self.run("UPDATE orders SET total = total + ? WHERE id = ?", (quantity * price, order_id))
        return f"item {item_id!r} added to order {order_id!r}"

    def init(self, table: str, n: int, **values: int) -> dict[str, str]:
        statement = f"INSERT OR REPLACE INTO {table} (id, {', '.join(values)}) VALUES (?{', ?' * len(values)})"
        for key in map(str, range(n)):
            self.run(statement, (key, *values.values()))
        return {"msg": f"{n} {table} created"}

    def init_orders(self, n: int, n_items: int, n_users: int, price: int) -> dict[str, str]:
        if n and not (n_items and n_users and 2 * price <= LIMIT):
            raise Rejected(f"{n} orders need items, users and a price of at most {LIMIT // 2}")
        for key in map(str, range(n)):
            self.run("DELETE FROM lines WHERE order_id = ?", (key,))
            for _ in range(2):
                self.run("INSERT INTO lines VALUES (?, ?, 1)", (key, str(random.randrange(n_items))))
            row = (key, str(random.randrange(n_users)), 2 * price, "open")
            self.run("INSERT OR REPLACE INTO orders VALUES (?, ?, ?, ?)", row)
        return {"msg": f"{n} orders created"}

    # -------- checkout

    def checkout(self, order_id: str) -> str:
        while order_id in self._busy:  # only with faults: without a gap, nobody comes between
            self.database.gap(0.005)
        self._busy.add(order_id)
        try:
            return self._checkout(order_id)
        finally:
            self._busy.remove(order_id)

    def _checkout(self, order_id: str) -> str:
        user_id, total, state = self.row("user_id, total, state", "orders", order_id)
        if state == "paid" and "not-idempotent" not in self.faults:
            return f"order {order_id!r} is paid"
        wanted: Counter[str] = Counter()
        for item_id, quantity in self.lines(order_id):
            wanted[item_id] += quantity
        self._refuse(order_id, state)
        if self.faults.strikes("error-as-success"):
            return "payment answered 502"
        self._lock_items(wanted)
        try:
            self._take(order_id, wanted, user_id, total)
        except Rejected:
            self._unlock_items(wanted, failed=True)
            raise
        self._unlock_items(wanted)
        if self.faults.strikes("charge-without-paid"):
            return f"order {order_id!r} is paid"
        self.run("UPDATE orders SET state = 'paid' WHERE id = ?", (order_id,))
        return f"order {order_id!r} is paid"

    def _take(self, order_id: str, wanted: Counter[str], user_id: str, total: int) -> None:
        stock = [self.planned("items", item_id, -quantity) for item_id, quantity in wanted.items()]
        if "dirty-read" in self.faults:
            self.apply(stock)
            self.database.gap(DIRTY_S)
        try:
            credit = [self.planned("users", user_id, -total)]
        except Rejected:
            self._fail_after_stock(stock)
            raise
        if self.faults.strikes("in-doubt-leak"):
            self.apply(stock)
            self.run("UPDATE orders SET state = 'checkout' WHERE id = ?", (order_id,))
            self.database.gap(LOCK_WAIT_S)
            raise Unknown(f"the checkout of order {order_id!r} did not end in time", 504)
        if "oversell" in self.faults:
            self.database.gap()
            self.apply(credit)
            for change in stock:
                self.run("UPDATE items SET stock = max(0, stock + ?) WHERE id = ?", (change.delta, change.key))
        else:
            self.apply(
                ([] if "dirty-read" in self.faults else stock)
                + ([] if self.faults.strikes("paid-without-charge") else credit)
            )

    # -------- checkouts with faults

    def _refuse(self, order_id: str, state: str) -> None:
        if state == "failed":
            raise Rejected(f"order {order_id!r} has failed")
        if state == "checkout":
            self.database.gap(LOCK_WAIT_S)
            raise Unknown(f"the checkout of order {order_id!r} did not end in time", 504)

    def after_checkout(self) -> None:
        if self.faults.strikes("error-as-success"):
            raise Unknown("payment answered 502", 502)
        if self.faults.strikes("rejected-but-happened"):
            raise Rejected("the checkout failed")

    def after_rejection(self, order_id: str) -> None:
        if "never-retried" in self.faults:
            with self.database.transaction():
                self.run("UPDATE orders SET state = 'failed' WHERE id = ? AND state = 'open'", (order_id,))

    def _fail_after_stock(self, stock: list[Change]) -> None:
        if "dirty-read" in self.faults:
            self.apply([change._replace(delta=-change.delta) for change in stock])
            self.database.gap(0)
        if self.faults.strikes("lost-compensation", 2):
            self.apply(stock)
            self.database.gap(0)

    def _lock_items(self, wanted: Counter[str]) -> None:
        if "lock-outlives-holder" not in self.faults or not wanted:
            return
        deadline = time.monotonic() + LOCK_WAIT_S
        marks = ", ".join("?" * len(wanted))
        while self.run(f"SELECT * FROM locks WHERE name IN ({marks})", (*wanted,)).fetchone():
            if time.monotonic() > deadline:
                raise Unknown("an item stays locked", 503)
            self.database.gap()
        self.run("INSERT INTO locks VALUES " + ", ".join("(?)" for _ in wanted), (*wanted,))
        self.database.gap()

    def _unlock_items(self, wanted: Counter[str], *, failed: bool = False) -> None:
        if "lock-outlives-holder" not in self.faults or not wanted:
            return
        if failed and self.faults.strikes("lock-outlives-holder", 2):
            return
        self.run(f"DELETE FROM locks WHERE name IN ({', '.join('?' * len(wanted))})", (*wanted,))
        if failed:
            self.database.gap(0)  # the rejection rolls back all that follows


def routes(shop: Shop) -> list[tuple[str, str, Callable[..., Any]]]:
    def find_item(item_id: str) -> dict[str, Any]:
        stock, price = shop.row("stock, price", "items", item_id)
        return shop.read("item", {"stock": stock, "price": price})

    def find_user(user_id: str) -> dict[str, Any]:
        return shop.read("user", {"user_id": user_id, "credit": shop.row("credit", "users", user_id)[0]})

    return [
        ("POST", "/orders/create/<user_id>", shop.create_order),
        ("GET", "/orders/find/<order_id>", lambda order_id: shop.read("order", shop.find_order(order_id))),
        ("POST", "/orders/addItem/<order_id>/<item_id>/<quantity>", shop.add_item),
        ("POST", "/orders/checkout/<order_id>", shop.checkout),
        ("POST", "/orders/batch_init/<n>/<n_items>/<n_users>/<price>", shop.init_orders),
        ("POST", "/stock/item/create/<price>", lambda price: {"item_id": shop.create("items", 0, price)}),
        ("GET", "/stock/find/<item_id>", find_item),
        ("POST", "/stock/add/<item_id>/<amount>", lambda item_id, amount: shop.change("items", item_id, amount)),
        ("POST", "/stock/subtract/<item_id>/<amount>", lambda item_id, amount: shop.change("items", item_id, -amount)),
        ("POST", "/stock/batch_init/<n>/<stock>/<price>", partial(shop.init, "items")),
        ("POST", "/payment/create_user", lambda: {"user_id": shop.create("users", 0)}),
        ("GET", "/payment/find_user/<user_id>", find_user),
        (
            "POST",
            "/payment/add_funds/<user_id>/<amount>",
            lambda user_id, amount: shop.change("users", user_id, amount),
        ),
        ("POST", "/payment/pay/<user_id>/<amount>", lambda user_id, amount: shop.change("users", user_id, -amount)),
        ("POST", "/payment/batch_init/<n>/<credit>", partial(shop.init, "users")),
    ]


def parsed(texts: dict[str, str]) -> dict[str, str | int]:
    """Parse the arguments of a path: all that do not end with `_id` are numbers."""
    most = {"n": LARGEST_BATCH}
    return {name: text if name.endswith("_id") else number(text, most.get(name, LIMIT)) for name, text in texts.items()}


def application(shop: Shop) -> Flask:
    app = Flask(__name__)

    def view(act: Callable[..., Any], **texts: str) -> Any:
        try:
            with shop.database.transaction():
                answer = act(**parsed(texts))
            if act == shop.checkout:
                shop.after_checkout()
        except (Rejected, Unknown) as error:
            if act == shop.checkout and isinstance(error, Rejected):
                shop.after_rejection(texts["order_id"])
            return jsonify(error=str(error)), error.status
        return jsonify(answer) if isinstance(answer, dict) else (answer, 200)

    for method, path, act in routes(shop):
        app.add_url_rule(path, path, partial(view, act), methods=[method])
    return app


class QuietHandler(WSGIRequestHandler):
    def log(self, *_: Any, **__: Any) -> None:
        """Write no line for each request."""


def main() -> None:
    parser = argparse.ArgumentParser(description="A shop of Flask and SQLite.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--faults", default="")
    options = parser.parse_args()
    faults = Faults(options.faults.split(","), SUPPORTED["flask"])
    options.data.mkdir(parents=True, exist_ok=True)
    if "no-persistence" in faults:
        for file in options.data.glob("shop.db*"):
            file.unlink()
    shop = Shop(Database(options.data / "shop.db"), faults)
    server = make_server("127.0.0.1", options.port, application(shop), threaded=True, request_handler=QuietHandler)
    server.socket.listen(4096)  # of a thousand clients at once, none waits for its second SYN
    print(f"listening on {server.port}", flush=True)  # noqa: T201
    server.serve_forever()


if __name__ == "__main__":
    main()
