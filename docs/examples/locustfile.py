"""A load of checkouts for Locust, for readers of its page: `locust -f locustfile.py`, then http://localhost:8089.

Locust alone counts every status below 400 as a success and knows no rejection. Here only a 2xx status is a success; a 4xx status
is a rejection, on a line of its own and no failure; any other status, a redirect among them, and no answer at all are failures
with an unknown outcome. All ids are fresh. The addresses come from the file `URLS`, by default `urls.json`:

    {"ORDER_URL": "http://127.0.0.1:8000", "STOCK_URL": "http://127.0.0.1:8000", "PAYMENT_URL": "http://127.0.0.1:8000"}

These figures do not show whether the shop was correct; `wdm judge --urls urls.json` does.
"""

import json
import os
from pathlib import Path
from typing import Any

from locust import HttpUser, constant_throughput, task

ADDRESSES = json.loads(Path(os.environ.get("URLS", "urls.json")).read_text("utf-8"))
ORDERS, STOCK, PAYMENT = (ADDRESSES[name].rstrip("/") for name in ("ORDER_URL", "STOCK_URL", "PAYMENT_URL"))

PRICE, PIECES = 5, 2
CREDIT = 100 * PRICE * PIECES
TIMEOUT_S = 30


def record(response: Any) -> bool:
    """Record an answer by the rules above. Return whether it is a success."""
    status = response.status_code
    if 200 <= status < 300:
        response.success()
        return True
    if 400 <= status < 500:
        response.request_meta["name"] += f" (rejected with {status})"
        response.success()
        return False
    response.failure(f"unknown outcome: {f'status {status}' if status else 'no answer'}")
    return False


class Customer(HttpUser):
    """A customer who makes an order of one item, and checks it out."""

    host = ORDERS
    wait_time = constant_throughput(1)

    def on_start(self) -> None:
        """Make a user with credit and an item with stock."""
        self.user = self.created(f"{PAYMENT}/payment/create_user", "create_user", "user_id")
        self.item = self.created(f"{STOCK}/stock/item/create/{PRICE}", "create_item", "item_id")
        self.send(f"{PAYMENT}/payment/add_funds/{self.user}/{CREDIT}", "add_funds")
        self.send(f"{STOCK}/stock/add/{self.item}/{100 * PIECES}", "add_stock")

    @task
    def buy(self) -> None:
        """Check a new order out. After a hundred orders the credit is used up, and the rejections are correct."""
        order = self.created(f"{ORDERS}/orders/create/{self.user}", "create_order", "order_id")
        if order and self.send(f"{ORDERS}/orders/addItem/{order}/{self.item}/{PIECES}", "add_item"):
            self.send(f"{ORDERS}/orders/checkout/{order}", "checkout")

    def send(self, url: str, name: str) -> bool:
        """Send a request, and return whether it was a success."""
        with self.client.post(
            url, name=name, catch_response=True, allow_redirects=False, timeout=TIMEOUT_S
        ) as response:
            return record(response)

    def created(self, url: str, name: str, field: str) -> str:
        """Send a request that makes something, and return its id; empty without a success."""
        with self.client.post(
            url, name=name, catch_response=True, allow_redirects=False, timeout=TIMEOUT_S
        ) as response:
            return str(response.json()[field]) if record(response) else ""
