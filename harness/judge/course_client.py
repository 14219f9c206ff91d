"""A client of any shop that has the course's API: one gateway or three addresses, today's API or an older variant."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from harness.judge import variants
from harness.workload.client import OPERATIONS, Response, ShopClient, interpret

OLDER_ADD_ITEM = "/orders/addItem/{}/{}"
"""The path of older years, which adds one piece."""

NO_ROUTE = frozenset({404, 405, 501})


@dataclass(slots=True)
class Dialect:
    """The variants of the API that a shop has shown so far. `one_piece`: its `addItem` has no quantity."""

    seen: Counter[str] = field(default_factory=Counter)
    one_piece: bool = False

    def notice(self, variant: str) -> None:
        """Count one answer in this variant."""
        self.seen[variant] += 1


class CourseClient(ShopClient):
    """A client with an address for each of `/orders`, `/stock` and `/payment`, which converts the answers of variants.

    `urls` has the address for each prefix; `timeout_s` bounds the wait for an answer. No behaviour of the shop raises.
    """

    def __init__(self, urls: Mapping[str, str], timeout_s: float, dialect: Dialect) -> None:
        super().__init__("", timeout_s)
        self._urls = {prefix: url.rstrip("/") for prefix, url in urls.items()}
        self._dialect = dialect

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._broken = (*self._broken, ValueError)  # of a defective header or encoding, which aiohttp does not wrap
        return self

    async def call(self, operation: str, *args: str | int) -> Response:
        """Make one call of `OPERATIONS`. Raises `EnvironmentFailure` as `ShopClient.call`."""
        if operation == "add_item" and self._dialect.one_piece:
            return await self._add_pieces(*args)
        return await super().call(operation, *args)

    async def recognise_add_item(self, order: str, item: str) -> None:
        """Find out whether `addItem` has a quantity, with one addition of one piece to `order`."""
        if (await super().call("add_item", order, item, 1)).status in NO_ROUTE:
            method, _ = OPERATIONS["add_item"]
            response = await self._send("add_item", method, OLDER_ADD_ITEM, (order, item))
            if response.outcome == "ok":
                self._dialect.one_piece = True
                self._dialect.notice("addItem has no quantity and adds one piece")

    def _address(self, path: str) -> str:
        return self._urls[path.split("/", 2)[1]]

    def _interpret(self, operation: str, status: int, value: Any) -> Response:
        if 200 <= status < 300 and variants.says_not_done(value):
            self._dialect.notice('a rejection has status 200 and `"done": false`')
            return Response("fail", status, value)
        if 200 <= status < 300:
            value = variants.convert(operation, value, self._dialect.notice)
        return interpret(operation, status, value)

    async def _add_pieces(self, order: str | int, item: str | int, quantity: str | int) -> Response:
        """Add the pieces one by one; a failure after the first piece is of unknown outcome."""
        method, _ = OPERATIONS["add_item"]
        for piece in range(int(quantity)):
            response = await self._send("add_item", method, OLDER_ADD_ITEM, (order, item))
            if response.outcome != "ok":
                return response if piece == 0 else Response("unknown", response.status, response.value)
        return Response("ok", 200, "")
