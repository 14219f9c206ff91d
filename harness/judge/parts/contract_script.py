"""The script of one rule of the contract: recorded calls, and the accounts and orders that rules need."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from harness.checkers.operations import contents
from harness.history import Operation
from harness.judge.shop import ExaminedShop
from harness.run.load import ClientPool
from harness.workload.base import call
from harness.workload.client import ACCEPTED

T = TypeVar("T")
AGAIN_S = 0.25


class NotPossible(Exception):
    """A rule that cannot be checked here; the message has the reason."""


class Script:
    """The calls of one rule, each recorded. Raises `NotPossible` where the shop lacks an operation, or preparation fails."""

    def __init__(self, clients: ClientPool, shop: ExaminedShop, settle_s: float) -> None:
        self._clients = clients
        self._session = clients.session()
        self._shop = shop
        self._unsure = False
        self.settle_s = settle_s
        self.http = shop.http

    async def do(self, op: str, *args: str | int) -> Operation:
        """Make one call, whatever its outcome."""
        self._need(op)
        return self._noted(await self._session.do(call(op, *args)))

    async def at_once(self, op: str, *args: str | int) -> list[Operation]:
        """Make one call twice at the same time."""
        self._need(op)
        both = await asyncio.gather(*(self._clients.session().do(call(op, *args)) for _ in range(2)))
        return [self._noted(operation) for operation in both]

    async def prepared(self, op: str, *args: str | int) -> Any:
        """Make a call that has to succeed before the rule can be checked, and return its value."""
        operation = await self.do(op, *args)
        if operation.status == ACCEPTED and await self.eventually(lambda: self.paid(str(args[0])), True):
            return operation.value
        if operation.outcome != "ok":
            raise NotPossible(f"{op} {' '.join(map(str, args))} was answered {operation.status} {operation.value!r}")
        return operation.value

    async def eventually(self, read: Callable[[], Awaitable[T]], expected: T) -> T:
        """Return what is read; after a call without a certain answer, read again until it is as expected or the settling ends."""
        now = asyncio.get_running_loop().time
        begin = now()
        actual = await read()
        while actual != expected and self._unsure and now() - begin < self.settle_s:
            await asyncio.sleep(AGAIN_S)
            actual = await read()
        return actual

    async def state(self, order: str, user: str, item: str) -> tuple[bool, int, int]:
        """Read (paid, credit, stock)."""
        return await self.paid(order), await self.credit(user), await self.stock(item)

    async def user(self, credit: int = 0) -> str:
        """Make a user with this credit."""
        user = str(await self.prepared("create_user"))
        if credit:
            await self.prepared("add_funds", user, credit)
        return user

    async def item(self, price: int, stock: int = 0) -> str:
        """Make an item of this price with this stock."""
        item = str(await self.prepared("create_item", price))
        if stock:
            await self.prepared("add_stock", item, stock)
        return item

    async def order(self, user: str, *lines: tuple[str, int]) -> str:
        """Make an order of these (item, quantity) lines."""
        order = str(await self.prepared("create_order", user))
        for item, quantity in lines:
            await self.prepared("add_item", order, item, quantity)
        return order

    async def credit(self, user: str) -> int:
        """Read the credit of a user."""
        return int((await self.prepared("find_user", user))["credit"])

    async def stock(self, item: str) -> int:
        """Read the stock of an item."""
        return int((await self.prepared("find_item", item))["stock"])

    async def paid(self, order: str) -> bool:
        """Read whether an order is paid."""
        return bool((await self.prepared("find_order", order))["paid"])

    async def contents(self, order: str) -> tuple[dict[str, int], int]:
        """Read (quantity by item, total) of an order."""
        operation = await self.do("find_order", order)
        read = contents(operation) if operation.outcome == "ok" else None
        if read is None:
            raise NotPossible(f"find_order {order} was answered {operation.status} {operation.value!r}")
        return read

    def _noted(self, operation: Operation) -> Operation:
        self._unsure |= operation.outcome == "unknown"
        return operation

    def _need(self, op: str) -> None:
        if op not in self._shop.operations:
            raise NotPossible(f"the adapter has no {op}")


def is_rejection(operation: Operation) -> bool:
    """Return whether an answer says that certainly nothing happened."""
    return operation.outcome == "fail"


def answer(operation: Operation) -> str:
    """Return the answer to a call in words."""
    arguments = " ".join(map(str, operation.args))
    return (
        f"{operation.op} {arguments} was answered {operation.status or 'with no status'}: {str(operation.value)[:80]}"
    )
