"""A client of the shop's public contract: it says what it asked and whether that happened."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self
from urllib.parse import quote

import msgspec

from harness.errors import EnvironmentFailure, exhausted

if (
    TYPE_CHECKING
):  # a report reads histories, and the simulator has its own client: only a client of a real shop needs it
    import aiohttp
    import yarl

Outcome = Literal["ok", "fail", "unknown"]

# Each operation of the contract: method and path; arguments are filled in in order.
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
# The one field of an answer that is the answer.
_ONLY = {"create_user": "user_id", "create_item": "item_id", "create_order": "order_id"}
# What an answer must have to be one.
_FIELDS: dict[str, dict[str, tuple[type, ...]]] = {
    **{operation: {field: (str, int)} for operation, field in _ONLY.items()},
    "find_user": {"credit": (int,)},
    "find_item": {"stock": (int,), "price": (int,)},
    "find_order": {"paid": (bool,), "items": (list,), "total_cost": (int,)},
}
LONGEST_WORDS = 300
ACCEPTED = 202


@dataclass(frozen=True, slots=True)
class Heard:
    """``ok`` happened, ``fail`` definitely did not (a 4xx), ``unknown`` is all else: a 5xx, a time-out, a broken connection,
    a 202 (it may still happen or not), a 2xx whose body is not what the contract promises.

    ``value`` is the body, parsed where it is JSON; ``status`` is 0 where there was no answer.
    """

    outcome: Outcome
    status: int
    value: Any


class Caller(Protocol):
    """Whatever carries a client's words to a shop. Never raises because of what the shop does."""

    async def call(self, operation: str, *args: str | int) -> Heard:
        """Ask for one of ``OPERATIONS``."""


class ShopClient:
    """Talks to the shop at ``url``. ``timeout_s`` is how long it waits for each answer. Use it as a context manager."""

    def __init__(self, url: str, timeout_s: float = 15.0) -> None:
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._parse: Callable[[str], yarl.URL]
        self._broken: tuple[type[Exception], ...] = (TimeoutError, OSError)

    async def __aenter__(self) -> Self:
        import aiohttp  # noqa: PLC0415 - see above
        from yarl import URL  # noqa: PLC0415 - see above

        self._parse = lambda whole: URL(whole, encoded=True)  # an id like `..` is sent as it is, not as a step up
        self._broken = (aiohttp.ClientError, _SentAndLost, *self._broken)
        timeout = aiohttp.ClientTimeout(total=self._timeout_s)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, operation: str, *args: str | int) -> Heard:
        """Ask for one of ``OPERATIONS``. Raises ``EnvironmentFailure`` if this machine lets it open no connection."""
        assert self._session is not None
        method, path = OPERATIONS[operation]
        whole = self._parse(self._url + path.format(*(quote(str(arg), safe="") for arg in args)))
        try:
            once = (_send_once,) if method == "DELETE" else None
            async with self._session.request(method, whole, allow_redirects=False, middlewares=once) as response:
                return _heard(operation, response.status, await response.read())
        except self._broken as error:
            why = exhausted(error)
            if why:  # the fault is this machine's
                raise EnvironmentFailure(f"a client could not send its request: {why}") from error
            # A connection may fail at once: whoever asks again and again must not keep the loop from everybody else.
            await asyncio.sleep(0)
            return Heard("unknown", 0, str(error) or type(error).__name__)

    async def need(self, operation: str, *args: str | int) -> Any:
        """The value of an operation that must succeed. Raises ``Refused`` naming what it heard instead."""
        heard = await self.call(operation, *args)
        if heard.outcome != "ok":
            raise Refused(f"{operation}{args} was answered {heard.status} {heard.value}")
        return heard.value


class _SentAndLost(Exception):
    """The request left and the connection broke: aiohttp knows no such failure, and does not send it again."""


async def _send_once(
    request: "aiohttp.ClientRequest", handler: "aiohttp.ClientHandlerType"
) -> "aiohttp.ClientResponse":
    """A DELETE at most once. By itself aiohttp repeats it on a kept connection that breaks, and a second line would go."""
    import aiohttp  # noqa: PLC0415 - see above

    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _SentAndLost(str(error) or type(error).__name__) from None


class Refused(Exception):
    """The shop did not do what the set-up needs."""


def _heard(operation: str, status: int, body: bytes) -> Heard:
    return judged(operation, status, _parsed(body))


def judged(operation: str, status: int, value: Any) -> Heard:
    """What an answer with this body means."""
    if status == ACCEPTED:
        return Heard("unknown", status, value)
    if 200 <= status < 300:
        malformed = _malformed(operation, value)
        if malformed:
            return Heard("unknown", status, malformed)
        field = _ONLY.get(operation)
        return Heard("ok", status, value[field] if field else value)
    return Heard("fail" if 400 <= status < 500 else "unknown", status, value)


def _parsed(body: bytes) -> Any:
    """The body as a value that can be written down again; as text where it is none."""
    try:
        value = msgspec.json.decode(body)
        msgspec.json.encode(value)
    except (msgspec.DecodeError, UnicodeError, OverflowError, RecursionError, ValueError):
        return body[:LONGEST_WORDS].decode("utf-8", "replace")
    return value


def _malformed(operation: str, value: Any) -> str:
    """What is wrong with the body of a 2xx; empty if nothing is."""
    for field, types in _FIELDS.get(operation, {}).items():
        if not isinstance(value, dict) or field not in value:
            return f"malformed answer, without {field}: {str(value)[:LONGEST_WORDS]}"
        if type(value[field]) not in types:
            return f"malformed answer, {field} is {str(value[field])[:LONGEST_WORDS]}"
    return ""


async def all_at_once(client: ShopClient, operation: str, argument_lists: list[tuple[str | int, ...]]) -> list[Heard]:
    """Every call started before any is answered."""
    return await asyncio.gather(*(client.call(operation, *args) for args in argument_lists))
