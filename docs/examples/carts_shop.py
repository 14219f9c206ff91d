"""A small shop with an API of its own: JSON bodies, carts in place of orders, and checkouts that end later.

    python carts_shop.py --port 8000

`POST /api/carts/CART/checkouts` is answered 202 with an id; `GET /api/checkouts/ID` has the state: pending, paid or refused.
`carts_adapter.py` makes it a shop that `wdm judge` can examine. The state is in memory, so a kill loses everything.
"""

import argparse
import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

WORK_S = 0.001
ids = itertools.count(1)


class Carts:
    """The records of the shop by id, and the queue of checkouts."""

    def __init__(self) -> None:
        self.customers: dict[str, dict[str, Any]] = {}
        self.products: dict[str, dict[str, Any]] = {}
        self.carts: dict[str, dict[str, Any]] = {}
        self.checkouts: dict[str, dict[str, Any]] = {}
        self.queue: asyncio.Queue[str] = asyncio.Queue()

    async def work(self) -> None:
        """Settle one checkout after the other: all of it, or nothing."""
        while True:
            checkout = self.checkouts[await self.queue.get()]
            await asyncio.sleep(WORK_S)
            reason = self.settle(self.carts[checkout["cart"]])
            checkout.update(state="refused" if reason else "paid", reason=reason)

    def settle(self, cart: dict[str, Any]) -> str:
        """Pay a cart; return the reason of a refusal, and then nothing has changed."""
        if cart["paid"]:
            return ""
        customer, needed = self.customers[cart["customer"]], dict[str, int]()
        for line in cart["lines"]:
            needed[line["sku"]] = needed.get(line["sku"], 0) + line["pieces"]
        if any(self.products[sku]["available"] < pieces for sku, pieces in needed.items()):
            return "not enough pieces"
        if customer["wallet"] < self.sum_of(cart):
            return "not enough money"
        customer["wallet"] -= self.sum_of(cart)
        for sku, pieces in needed.items():
            self.products[sku]["available"] -= pieces
        cart["paid"] = True
        return ""

    def sum_of(self, cart: dict[str, Any]) -> int:
        return sum(self.products[line["sku"]]["price"] * line["pieces"] for line in cart["lines"])


def found(records: dict[str, dict[str, Any]], key: object) -> dict[str, Any]:
    if key not in records:
        raise web.HTTPNotFound(text=f"no {key!r} here")
    return records[str(key)]


async def number(request: web.Request, name: str) -> int:
    value = (await request.json()).get(name)
    if type(value) is not int or not 0 <= value <= 2**53:
        raise web.HTTPBadRequest(text=f"{name} is {value!r}, and has to be a whole number")
    return value


def made(records: dict[str, dict[str, Any]], kind: str, record: dict[str, Any], status: int = 201) -> web.Response:
    key = f"{kind}-{next(ids)}"
    records[key] = record
    return web.json_response({kind: key}, status=status)


def routes(shop: Carts) -> list[web.RouteDef]:
    async def new_customer(_: web.Request) -> web.Response:
        return made(shop.customers, "customer", {"wallet": 0})

    async def new_product(request: web.Request) -> web.Response:
        return made(shop.products, "sku", {"available": 0, "price": await number(request, "price")})

    async def new_cart(request: web.Request) -> web.Response:
        customer = (await request.json())["customer"]
        found(shop.customers, customer)
        return made(shop.carts, "cart", {"customer": customer, "lines": [], "paid": False})

    async def add_money(request: web.Request) -> web.Response:
        customer = found(shop.customers, request.match_info["id"])
        customer["wallet"] += await number(request, "add")
        return web.json_response(customer)

    async def deliver(request: web.Request) -> web.Response:
        product = found(shop.products, request.match_info["id"])
        product["available"] += await number(request, "pieces")
        return web.json_response(product)

    async def add_line(request: web.Request) -> web.Response:
        cart, body = found(shop.carts, request.match_info["id"]), await request.json()
        found(shop.products, body["sku"])
        if cart["paid"]:
            raise web.HTTPConflict(text="the cart is paid")
        cart["lines"].append({"sku": body["sku"], "pieces": await number(request, "pieces")})
        return web.json_response(cart)

    async def check_out(request: web.Request) -> web.Response:
        cart = request.match_info["id"]
        found(shop.carts, cart)
        response = made(shop.checkouts, "checkout", {"cart": cart, "state": "pending"}, status=202)
        shop.queue.put_nowait(next(reversed(shop.checkouts)))
        return response

    async def read(request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        record = found(getattr(shop, kind), request.match_info["id"])
        return web.json_response({**record, "sum": shop.sum_of(record)} if kind == "carts" else record)

    return [
        web.post("/api/customers", new_customer),
        web.post("/api/customers/{id}/wallet", add_money),
        web.post("/api/products", new_product),
        web.post("/api/products/{id}/deliveries", deliver),
        web.post("/api/carts", new_cart),
        web.post("/api/carts/{id}/lines", add_line),
        web.post("/api/carts/{id}/checkouts", check_out),
        web.get("/api/{kind:customers|products|carts|checkouts}/{id}", read),
    ]


def application() -> web.Application:
    """Return the shop as an application of aiohttp."""
    app, shop = web.Application(), Carts()
    app.add_routes(routes(shop))

    async def worker(_: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(shop.work())
        yield
        task.cancel()

    app.cleanup_ctx.append(worker)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000)
    web.run_app(application(), host="127.0.0.1", port=parser.parse_args().port, print=None)
