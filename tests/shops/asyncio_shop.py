"""A shop of plain asyncio streams in three processes, each with its state in memory and in a journal.

    python -m tests.shops.asyncio_shop --role stock --port 0 --data DIR [--faults NAME,...]
    python -m tests.shops.asyncio_shop --role payment --port 0 --data DIR [--faults NAME,...]
    python -m tests.shops.asyncio_shop --role orders --port 0 --data DIR --stock-url URL --payment-url URL [--faults NAME,...]

A checkout is a saga with an id: hold the stock, charge the credit, take the stock. Each step may be repeated, and its first
answer is final. Held stock is not for others, who wait for its decision, and a read shows it until it is taken. After a kill,
orders repeats the steps of each checkout that has not ended.
"""

import argparse
import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.shops.asyncio_service import GAP_S, Journal, Peer, Shared
from tests.shops.contract import LIMIT, Rejected, Unknown
from tests.shops.faults import SUPPORTED, Faults

DIRTY_S = 0.05
HOLD_WAIT_S = 1.0
FIND_WITHIN_S = 2.0
CHECKOUT_WITHIN_S = 10.0
STUCK_S = 0.3


class Payment(Shared):
    """Users and their credit. `txns` has the answer to each charge."""

    name, kind, column = "payment", "user", "credit"

    def routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        return [
            ("POST", "/create_user", lambda: self.create(credit=0)),
            ("GET", "/find_user/{id}", lambda key: self.read({"user_id": key, **self.row(key)})),
            ("POST", "/add_funds/{id}/{number}", self.change),
            ("POST", "/pay/{id}/{number}", lambda key, amount: self.change(key, -amount)),
            ("POST", "/batch_init/{count}/{number}", lambda n, credit: self.init(n, credit=credit)),
            ("POST", "/txn/charge/{id}/{id}/{number}", self.charge),
        ]

    async def charge(self, txn: str, user: str, amount: int, _: Any) -> str:
        answers = self.journal["txns"]
        if self.faults.strikes("error-as-success") and txn not in answers:
            raise Unknown("nothing was charged", 502)
        if "dirty-read" in self.faults:
            await asyncio.sleep(DIRTY_S)
        if "lost-update" in self.faults:
            return await self.change(user, -amount)
        if txn not in answers:
            try:
                self.require(user, amount)
            except Rejected as rejection:
                self.journal.commit(("txns", txn, str(rejection)))
            else:
                charged = {**self.rows[user], "credit": self.rows[user]["credit"] - amount}
                self.journal.commit(("rows", user, charged), ("txns", txn, ""))
        if answers[txn]:
            raise Rejected(answers[txn])
        return "charged"


class Stock(Shared):
    """Items and their stock. `txns` has the state and the quantities of each checkout that requested stock."""

    name, kind, column = "stock", "item", "stock"

    def __init__(self, journal: Journal, faults: Faults) -> None:
        super().__init__(journal, faults)
        self.txns = journal["txns"]
        self.held: Counter[str] = Counter()
        for txn in self.txns.values():
            if txn["state"] == "held":
                self.held.update(txn["wanted"])
        self._decided = asyncio.Event()

    def routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        return [
            ("POST", "/item/create/{number}", lambda price: self.create(stock=0, price=price)),
            ("GET", "/find/{id}", self.find),
            ("POST", "/add/{id}/{number}", self.change),
            ("POST", "/subtract/{id}/{number}", self.subtract),
            ("POST", "/batch_init/{count}/{number}/{number}", self.init_items),
            ("POST", "/txn/hold/{id}", self.hold),
            ("POST", "/txn/take/{id}", lambda txn, _: self.decide(txn, "taken")),
            ("POST", "/txn/release/{id}", lambda txn, _: self.decide(txn, "released")),
        ]

    def find(self, key: str) -> Any:
        row = self.row(key)
        return self.read({**row, "stock": row["stock"] - self.held[key]} if "dirty-read" in self.faults else row)

    def init_items(self, n: int, stock: int, price: int) -> dict[str, str]:
        if any(count and key in self.rows and int(key) < n for key, count in self.held.items() if key.isdigit()):
            raise Rejected("some of these items are in a checkout")
        return self.init(n, stock=stock, price=price)

    async def free(self, wanted: dict[str, int]) -> None:
        """Wait until stock is there that nobody holds. Raises `Rejected` if there is too little, held stock included."""
        deadline = asyncio.get_running_loop().time() + HOLD_WAIT_S
        while True:
            for item, quantity in wanted.items():
                self.require(item, quantity)
            if "oversell" in self.faults or "negative-balance" in self.faults:
                return
            if all(self.rows[item]["stock"] - self.held[item] >= quantity for item, quantity in wanted.items()):
                return
            try:
                async with asyncio.timeout_at(deadline):
                    await self._decided.wait()
            except TimeoutError:
                raise Rejected("the stock is held by other checkouts", 409) from None

    async def subtract(self, key: str, amount: int) -> str:
        await self.free({key: amount})
        return await self.change(key, -amount)

    async def hold(self, txn: str, wanted: dict[str, int]) -> str:
        if txn not in self.txns:
            try:
                await self.free(wanted)
            except Rejected as rejection:
                if rejection.status != 409 and txn not in self.txns:
                    self.journal.commit(("txns", txn, {"state": str(rejection), "wanted": {}}))
                raise
        if txn not in self.txns:
            self.journal.commit(("txns", txn, {"state": "held", "wanted": wanted}))
            self.held.update(wanted)
        if self.txns[txn]["state"] not in {"held", "taken"}:
            raise Rejected(self.txns[txn]["state"])
        return "held"

    def decide(self, txn: str, state: str) -> str:
        """End a hold. A release without a hold keeps a late one away."""
        known = self.txns.get(txn, {"state": "", "wanted": {}})
        if known["state"] != "held":
            if not known["state"]:
                self.journal.commit(("txns", txn, {**known, "state": state}))
            return state
        changes = [("txns", txn, {**known, "state": state})]
        if state == "taken":
            for item, quantity in known["wanted"].items():
                changes.append(("rows", item, {**self.rows[item], "stock": self.rows[item]["stock"] - quantity}))
        self.journal.commit(*changes)
        self.held.subtract(known["wanted"])
        self._decided.set()
        self._decided = asyncio.Event()
        return state


class Orders(Shared):
    """Orders, and the sagas of their checkouts."""

    name, kind = "orders", "order"

    def __init__(self, journal: Journal, faults: Faults, stock: str, payment: str) -> None:
        super().__init__(journal, faults)
        self.stock, self.decisions, self.payment = Peer(stock), Peer(stock), Peer(payment)
        self._running: dict[str, asyncio.Task[None]] = {}
        leaks = "lock-outlives-holder" in faults or "in-doubt-leak" in faults
        self._patience_s = STUCK_S if leaks else CHECKOUT_WITHIN_S
        # Where stock is held for ever, nobody may wait for it for ever: the connections would run out, and the shop stand still.
        self._hold_within_s = STUCK_S if "in-doubt-leak" in faults else None

    def routes(self) -> list[tuple[str, str, Callable[..., Any]]]:
        new = {"items": [], "total": 0, "state": "open", "txn": ""}
        return [
            ("POST", "/create/{id}", lambda user: self.create(user=user, **new)),
            ("GET", "/find/{id}", self.find),
            ("POST", "/addItem/{id}/{id}/{number}", self.add_item),
            ("POST", "/checkout/{id}", self.checkout),
            ("POST", "/batch_init/{count}/{number}/{number}/{number}", self.init_orders),
        ]

    def find(self, key: str) -> Any:
        order = self.row(key)
        paid = order["state"] == "paid"
        answer = {"order_id": key, "paid": paid, "items": order["items"], "user_id": order["user"]}
        return self.read({**answer, "total_cost": order["total"]})

    async def add_item(self, key: str, item: str, quantity: int) -> str:
        self._require_open(key)
        try:
            async with asyncio.timeout(FIND_WITHIN_S):
                found = await self._insist(self.stock, "GET", "/find", item)
        except TimeoutError:
            raise Rejected(f"stock does not answer: item {item!r} is not added", 424) from None
        self._require_open(key)  # meanwhile its checkout may have begun
        order = self.rows[key]
        total = order["total"] + quantity * found["price"]
        if total > LIMIT:
            raise Rejected(f"the total of order {key!r} would be above {LIMIT}")
        self.put(key, items=[*order["items"], [item, quantity]], total=total)
        return f"item {item!r} added to order {key!r}"

    def _require_open(self, key: str) -> None:
        if self.row(key)["state"] not in {"open", "failed"} or key in self._running:
            raise Rejected(f"order {key!r} is paid or in checkout")

    def init_orders(self, n: int, items: int, users: int, price: int) -> dict[str, str]:
        if n and not (items and users and 2 * price <= LIMIT):
            raise Rejected(f"{n} orders need items, users and a price of at most {LIMIT // 2}")
        if any(key.isdigit() and int(key) < n for key in self._running):
            raise Rejected("some of these orders are in a checkout")
        changes = []
        for key in map(str, range(n)):
            lines = [[str(random.randrange(items)), 1] for _ in range(2)]
            row = {"user": str(random.randrange(users)), "items": lines, "total": 2 * price, "state": "open", "txn": ""}
            changes.append(("rows", key, row))
        self.journal.commit(*changes)
        return {"msg": f"{n} orders created"}

    # -------- checkout

    async def checkout(self, key: str) -> str:
        state = self.row(key)["state"]
        if state == "paid" and "not-idempotent" not in self.faults:
            return f"order {key!r} is paid"
        if state == "failed":
            raise Rejected(f"order {key!r} has failed")
        left_behind = state == "checkout" and key not in self._running and "lock-outlives-holder" in self.faults
        if state == "stuck" or left_behind:
            await asyncio.sleep(STUCK_S)
            raise Unknown(f"the checkout of order {key!r} did not end in time", 504)
        task = self._begin(key)
        await asyncio.wait([task], timeout=self._patience_s)
        if not task.done():
            raise Unknown(f"the checkout of order {key!r} goes on", 503)
        task.result()
        if self.faults.strikes("rejected-but-happened"):
            raise Rejected("the checkout failed")
        if self.faults.strikes("error-as-success", 4):  # while payment counts to 5
            raise Unknown("payment answered 502", 502)
        return f"order {key!r} is paid"

    def resume(self) -> None:
        """Go on with the checkouts of the former process."""
        for key, row in self.rows.items():
            if row["state"] == "checkout" and "lock-outlives-holder" not in self.faults:
                self._begin(key)

    def _begin(self, key: str) -> asyncio.Task[None]:
        """Return the one saga of an order that runs."""
        if key not in self._running:
            self._running[key] = task = asyncio.create_task(self._saga(key))
            task.add_done_callback(lambda ended: (self._running.pop(key), ended.exception()))
        return self._running[key]

    async def _saga(self, key: str) -> None:
        if self.rows[key]["state"] != "checkout":
            self.put(key, state="checkout", txn=uuid.uuid4().hex)
            await self.journal.synced()
        order = self.rows[key]
        txn, wanted = order["txn"], Counter[str]()
        for item, quantity in order["items"]:
            wanted[item] += quantity
        try:
            await self._hold(txn, wanted)
            if "lock-outlives-holder" in self.faults:
                await asyncio.sleep(GAP_S)  # for a kill that leaves the hold behind
            if self.faults.strikes("in-doubt-leak"):
                await self._leak(key)
            if not self.faults.strikes("paid-without-charge"):
                await self._insist(self.payment, "POST", "/txn/charge", txn, order["user"], order["total"])
        except Rejected:
            await self._compensate(txn)
            self.put(key, state="failed" if "never-retried" in self.faults else "open")
            raise
        await self._insist(self.decisions, "POST", "/txn/take", txn)
        self.put(key, state="open" if self.faults.strikes("charge-without-paid") else "paid")

    async def _hold(self, txn: str, wanted: Counter[str]) -> None:
        try:
            async with asyncio.timeout(self._hold_within_s):
                await self._insist(self.stock, "POST", "/txn/hold", txn, body=wanted)
        except TimeoutError:
            raise Rejected("the stock is held by other checkouts", 409) from None

    async def _compensate(self, txn: str) -> None:
        if self.faults.strikes("lock-outlives-holder", 2):
            return
        step = "/txn/take" if self.faults.strikes("lost-compensation", 2) else "/txn/release"
        await self._insist(self.decisions, "POST", step, txn)

    async def _leak(self, key: str) -> None:
        self.put(key, state="stuck")
        await asyncio.sleep(STUCK_S)
        raise Unknown(f"the checkout of order {key!r} did not end in time", 504)

    async def _insist(self, peer: Peer, method: str, path: str, *arguments: str | int, body: Any = None) -> Any:
        """Repeat a call until its outcome is known. Raises `Rejected` after a 4xx."""
        while True:
            try:
                status, answer = await peer.call(method, path, *arguments, body=body)
            except (OSError, EOFError):
                status, answer = 503, None
            if status < 400 or (status == 502 and "error-as-success" in self.faults):
                return answer
            if status < 500 and status != 409:
                raise Rejected(answer["error"], status)
            await asyncio.sleep(GAP_S)


async def main() -> None:
    parser = argparse.ArgumentParser(description="One service of a shop of asyncio streams.")
    parser.add_argument("--role", choices=["orders", "stock", "payment"], required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--stock-url", default="")
    parser.add_argument("--payment-url", default="")
    parser.add_argument("--faults", default="")
    options = parser.parse_args()
    faults = Faults(options.faults.split(","), SUPPORTED["asyncio"])
    options.data.mkdir(parents=True, exist_ok=True)
    file = options.data / f"{options.role}.ndjson"
    if "no-persistence" in faults:
        file.unlink(missing_ok=True)
    service: Shared
    if options.role == "orders":
        service = orders = Orders(Journal(file), faults, options.stock_url, options.payment_url)
        orders.resume()
    else:
        service = (Stock if options.role == "stock" else Payment)(Journal(file), faults)
    server = await service.start(options.port)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
