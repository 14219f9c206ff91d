"""A client of a foreign shop, for the tests of the shops themselves."""

import asyncio
import shutil
from contextlib import AsyncExitStack
from typing import Any, Self

import pytest

from harness.workload.client import OPERATIONS, Response, ShopClient
from tests.contract.acts import order, user
from tests.shops import INTERPRETERS, RunningShop


def shop_parameter(name: str, *values: str, slow: bool = False) -> Any:
    """Return the parameters of a test of a shop; the test is skipped where the interpreter of the shop is missing."""
    program = INTERPRETERS.get(name)
    missing = program is not None and shutil.which(program) is None
    marks = [pytest.mark.skipif(missing, reason=f"{program} is not installed"), *([pytest.mark.slow] if slow else [])]
    return pytest.param(*(name, *values), marks=marks, id="-".join((name, *values)))


class Client:
    """The part of `ShopClient` that tests use, over the URLs of all services of a shop."""

    def __init__(self, shop: RunningShop) -> None:
        self.shop = shop
        self._stack = AsyncExitStack()
        self._clients: dict[str, ShopClient] = {}

    async def __aenter__(self) -> Self:
        clients = {url: await self._stack.enter_async_context(ShopClient(url)) for url in set(self.shop.urls.values())}
        self._clients = {service: clients[url] for service, url in self.shop.urls.items()}
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def call(self, operation: str, *arguments: str | int) -> Response:
        return await self._of(operation).call(operation, *arguments)

    async def need(self, operation: str, *arguments: str | int) -> Any:
        return await self._of(operation).need(operation, *arguments)

    def _of(self, operation: str) -> ShopClient:
        return self._clients[OPERATIONS[operation][1].split("/")[1]]

    async def restart(self, *nodes: str) -> None:
        """Kill nodes (all without a name) and start them again."""
        await self.shop.restart(*nodes)
        await self.reopen()

    async def reopen(self) -> None:
        """Leave the connections to former processes, which would fail at the next use."""
        await self._stack.aclose()
        await self.__aenter__()

    async def orders(self, count: int, name: str, credit: int = 100) -> list[tuple[str, str]]:
        """Create orders of one item each, all of different users; return the users and the orders."""
        return await asyncio.gather(*(self._bought(name, credit) for _ in range(count)))

    async def _bought(self, name: str, credit: int) -> tuple[str, str]:
        buyer = await user(self, credit)
        return buyer, await order(self, buyer, (name, 1))

    async def checkouts(self, orders: list[str]) -> list[Response]:
        return await asyncio.gather(*(self.call("checkout", name) for name in orders))
