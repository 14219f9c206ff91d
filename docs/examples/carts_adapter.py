"""The adapter of `carts_shop.py`: the ten methods by which `wdm judge` calls a shop with an API of another shape.

    SHOP_URL=http://127.0.0.1:8000 wdm judge --adapter carts_adapter.py

A 2xx status says that the operation happened and a 4xx status that it did not. Any other answer, and none, is unknown: the
exceptions of aiohttp pass through.
"""

import asyncio
import os
from typing import Any

import aiohttp

from wdm.testing import Accepted, Adapter, ItemView, OrderView, Rejected, Unknown

POLL_S, FINISHED_WITHIN_S = 0.05, 10.0


class CartsShop(Adapter):
    """The shop at `SHOP_URL`. Users are its customers, items its products, orders its carts."""

    def __init__(self, url: str | None = None) -> None:
        self.url = url or os.environ.get("SHOP_URL", "http://127.0.0.1:8000")

    async def open(self) -> None:
        self.session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def close(self) -> None:
        await self.session.close()

    async def create_user(self) -> str:
        return str((await self._send("POST", "customers"))["customer"])

    async def add_credit(self, user: str, amount: int) -> None:
        await self._send("POST", f"customers/{user}/wallet", {"add": amount})

    async def create_item(self, price: int) -> str:
        return str((await self._send("POST", "products", {"price": price}))["sku"])

    async def add_stock(self, item: str, amount: int) -> None:
        await self._send("POST", f"products/{item}/deliveries", {"pieces": amount})

    async def create_order(self, user: str) -> str:
        return str((await self._send("POST", "carts", {"customer": user}))["cart"])

    async def add_line(self, order: str, item: str, quantity: int) -> None:
        await self._send("POST", f"carts/{order}/lines", {"sku": item, "pieces": quantity})

    async def checkout(self, order: str) -> None:
        """Start a checkout, and wait for its end; one that takes too long was accepted and is still pending."""
        checkout = (await self._send("POST", f"carts/{order}/checkouts"))["checkout"]
        for _ in range(int(FINISHED_WITHIN_S / POLL_S)):
            found = await self._send("GET", f"checkouts/{checkout}")
            if found["state"] == "paid":
                return
            if found["state"] == "refused":
                raise Rejected(found["reason"])
            await asyncio.sleep(POLL_S)
        raise Accepted(f"checkout {checkout} is still pending")

    async def read_user(self, user: str) -> int:
        return int((await self._send("GET", f"customers/{user}"))["wallet"])

    async def read_item(self, item: str) -> ItemView:
        found = await self._send("GET", f"products/{item}")
        return ItemView(stock=found["available"], price=found["price"])

    async def read_order(self, order: str) -> OrderView:
        found = await self._send("GET", f"carts/{order}")
        lines = [(line["sku"], line["pieces"]) for line in found["lines"]]
        return OrderView(user=found["customer"], lines=lines, total=found["sum"], paid=found["paid"])

    async def _send(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Send a request, and return the body of a success. Raises `Rejected`, `Unknown` and the errors of aiohttp."""
        async with self.session.request(method, f"{self.url}/api/{path}", json=body or {}) as answer:
            if 200 <= answer.status < 300:
                return await answer.json()
            text = (await answer.text())[:200]
            if 400 <= answer.status < 500:
                raise Rejected(text, gone=answer.status == 404)
            raise Unknown(f"{answer.status} {text}")
