"""A client of the shop's public contract, which returns for each call whether it took effect."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self
from urllib.parse import quote

import msgspec

from harness.errors import EnvironmentFailure, exhausted
from protocols.shop.idempotency_key import FINAL_HEADER

if TYPE_CHECKING:  # imported by `__aenter__`: reports and the simulator have no HTTP client, and its import takes long
    import aiohttp
    import yarl

Outcome = Literal["ok", "fail", "unknown"]

OPERATIONS = {
    "create_user": ("POST", "/payment/create_user"),
    "add_funds": ("POST", "/payment/add_funds/{}/{}"),
    "pay": ("POST", "/payment/pay/{}/{}"),
    "find_user": ("GET", "/payment/find_user/{}"),
    "init_users": ("POST", "/payment/batch_init/{}/{}"),
    "create_item": ("POST", "/stock/item/create/{}"),
    "add_stock": ("POST", "/stock/add/{}/{}"),
    "subtract_stock": ("POST", "/stock/subtract/{}/{}"),
    "find_item": ("GET", "/stock/find/{}"),
    "init_items": ("POST", "/stock/batch_init/{}/{}/{}"),
    "create_order": ("POST", "/orders/create/{}"),
    "add_item": ("POST", "/orders/addItem/{}/{}/{}"),
    "checkout": ("POST", "/orders/checkout/{}"),
    "find_order": ("GET", "/orders/find/{}"),
    "init_orders": ("POST", "/orders/batch_init/{}/{}/{}/{}"),
    "remove_item": ("DELETE", "/orders/removeItem/{}/{}"),
    "remove_order": ("DELETE", "/orders/remove/{}"),
}
"""The operations of the contract: method and path, with a gap for each argument in order."""

_ONLY = {"create_user": "user_id", "create_item": "item_id", "create_order": "order_id"}
"""Answers with one field, whose value is the value of the operation."""

_FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    **{operation: {field: (str, int)} for operation, field in _ONLY.items()},
    "find_user": {"credit": (int,)},
    "find_item": {"stock": (int,), "price": (int,)},
    "find_order": {"paid": (bool,), "items": (list,), "total_cost": (int,)},
}
"""Fields that a success must have, with their types."""

LONGEST_TEXT = 300
"""Characters of an error text or a malformed body that a history keeps."""

LONGEST_BODY = 1 << 22
"""Bytes of a body that are read."""

ACCEPTED = 202
UNREACHED = 424


@dataclass(frozen=True, slots=True)
class Response:
    """The outcome of one call.

    `ok`: it took effect. `fail`: it certainly did not (a 4xx). `unknown`: all else, that is a 5xx, a time-out, a broken
    connection, a 202 (it may still take effect) and a 2xx whose body breaks the contract.

    `value` is the body, parsed where it is JSON; `status` is 0 where there was no answer.
    """

    outcome: Outcome
    status: int
    value: Any


class RawAnswer(NamedTuple):
    """An answer as it was received. A 4xx that is not `final` holds for this copy of the request alone."""

    status: int
    value: Any
    final: bool = True


class Caller(Protocol):
    """A connection from a client to a shop, over HTTP or in the simulator. No behaviour of the shop raises."""

    async def call(self, operation: str, *args: str | int) -> Response:
        """Make one call of `OPERATIONS`."""


class ShopClient:
    """An HTTP client of the shop at `url`, with `timeout_s` seconds for each answer. Use it as a context manager."""

    def __init__(self, url: str, timeout_s: float = 15.0) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._parse: Callable[[str], yarl.URL]
        self._broken: tuple[type[Exception], ...] = (TimeoutError, OSError)

    async def __aenter__(self) -> Self:
        import aiohttp  # noqa: PLC0415 - see above
        from yarl import URL  # noqa: PLC0415 - see above

        self._parse = lambda whole: URL(whole, encoded=True)  # yarl would take an id like `..` for the parent folder
        self._broken = (aiohttp.ClientError, _SentAndLost, *self._broken)
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, operation: str, *args: str | int) -> Response:
        """Make one call of `OPERATIONS`. Raises `EnvironmentFailure` if this machine has no port or file for a connection."""
        return await self._send(operation, *OPERATIONS[operation], args)

    async def _send(self, operation: str, method: str, path: str, args: Sequence[str | int]) -> Response:
        """Send one request, whose `path` has a gap for each argument, and interpret its answer as one to `operation`."""
        url = self._parse(self._address(path) + path.format(*(quote(str(arg), safe="") for arg in args)))
        try:
            received = await self._exchange(method, url, {})
            return self._interpret(operation, received.status, received.value)
        except self._broken as error:
            why = exhausted(error)
            if why:  # of this machine: recorded as an answer of the shop, it would count as unavailability
                raise EnvironmentFailure(f"a client could not send its request: {why}") from error
            # A refused connection fails without waiting: a client that retries at once would never let the loop run others.
            await asyncio.sleep(0)
            return Response("unknown", 0, str(error) or type(error).__name__)

    async def _exchange(self, method: str, url: "yarl.URL", headers: Mapping[str, str]) -> RawAnswer:
        """Send one request and receive its answer. Raises one of `_broken`."""
        assert self._session is not None
        # aiohttp repeats idempotent methods. A GET may be repeated, but a second DELETE of a line removes another line.
        once = (_send_once,) if method == "DELETE" else None
        async with self._session.request(
            method, url, headers=headers, allow_redirects=False, middlewares=once
        ) as response:
            final = response.status != UNREACHED and response.headers.get(FINAL_HEADER) != "no"
            return RawAnswer(response.status, _parsed(await _read(response)), final)

    def _address(self, path: str) -> str:  # noqa: ARG002 - for clients of shops with several addresses
        """Return the address that serves a path."""
        return self._url

    def _interpret(self, operation: str, status: int, value: Any) -> Response:
        return interpret(operation, status, value)

    async def need(self, operation: str, *args: str | int) -> Any:
        """Return the value of an operation that must succeed. Raises `Refused` naming the status and body of another answer."""
        response = await self.call(operation, *args)
        if response.outcome != "ok":
            raise Refused(f"{operation}{args} was answered {response.status} {response.value}")
        return response.value


async def _read(response: "aiohttp.ClientResponse") -> bytes:
    """Read a body, of a longer one than `LONGEST_BODY` only the beginning: a defective shop may send one without end."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LONGEST_BODY:
            response.close()
            break
    return bytes(body)


class _SentAndLost(Exception):
    """A connection that broke after the request was sent. aiohttp does not retry after an exception of a foreign class."""


async def _send_once(
    request: "aiohttp.ClientRequest", handler: "aiohttp.ClientHandlerType"
) -> "aiohttp.ClientResponse":
    """Send a DELETE at most once.

    aiohttp repeats it when a kept connection breaks, though the shop may have handled the first one: the repeated one would
    remove a second line of the order, and the history would have only one operation.
    """
    import aiohttp  # noqa: PLC0415 - see above

    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        # Converted also where the request was not sent: the error alone does not distinguish the two.
        raise _SentAndLost(str(error) or type(error).__name__) from None


class Refused(Exception):
    """An operation that a set-up needs and that did not succeed."""


def interpret(operation: str, status: int, value: Any) -> Response:
    """Return the response for an answer to `operation` with this status and parsed body."""
    if status == ACCEPTED:
        return Response("unknown", status, value)
    if 200 <= status < 300:
        malformed = _malformed(operation, value)
        if malformed:
            return Response("unknown", status, malformed)
        field = _ONLY.get(operation)
        return Response("ok", status, value[field] if field else value)
    return Response("fail" if 400 <= status < 500 else "unknown", status, value)


def _parsed(body: bytes) -> Any:
    """Return the body as a JSON value that can be encoded again, or else as text of at most `LONGEST_TEXT` characters."""
    try:
        value = msgspec.json.decode(body)
        msgspec.json.encode(value)
    except (msgspec.DecodeError, UnicodeError, OverflowError, RecursionError, ValueError):
        return body[:LONGEST_TEXT].decode("utf-8", "replace")
    return value


def _malformed(operation: str, value: Any) -> str:
    """Return the defect of the body of a 2xx; an empty text if it has none."""
    for field, types in _FIELDS.get(operation, {}).items():
        if not isinstance(value, dict) or field not in value:
            return f"malformed answer, without {field}: {str(value)[:LONGEST_TEXT]}"
        if type(value[field]) not in types:
            return f"malformed answer, {field} is {str(value[field])[:LONGEST_TEXT]}"
    return ""


async def all_at_once(
    client: ShopClient, operation: str, argument_lists: list[tuple[str | int, ...]]
) -> list[Response]:
    """Make one call for each list of arguments, all concurrently; return the responses in the same order."""
    return await asyncio.gather(*(client.call(operation, *args) for args in argument_lists))
