"""The shop under examination: its clients, and its nodes, if the user gave any."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from harness.judge.course_client import CourseClient, Dialect
from harness.runtimes.base import Breakable
from harness.workload.client import OPERATIONS, Caller
from protocols.errors import UsageError

PREFIXES = ("orders", "stock", "payment")


@dataclass(slots=True)
class ExaminedShop:
    """A shop that somebody else wrote and runs.

    `connect` gives a client that waits so many seconds for an answer; `operations` are those that it has. `runtime` has the
    nodes that may be broken, none without faults. `address` is for readers. `http`: the statuses of answers mean something.
    `lifetime` opens and closes what all clients share.
    """

    address: str
    connect: Callable[[float], AbstractAsyncContextManager[Caller]]
    runtime: Breakable
    operations: frozenset[str] = frozenset(OPERATIONS)
    dialect: Dialect = field(default_factory=Dialect)
    http: bool = True
    lifetime: tuple[Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]] | None = None

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes that may be broken."""
        return tuple(node.name for node in self.runtime.nodes())


def over_http(urls: Mapping[str, str], runtime: Breakable) -> ExaminedShop:
    """Return the shop at these addresses, one for each of `PREFIXES`."""
    dialect = Dialect()
    addresses = " ".join(dict.fromkeys(urls.values()))
    return ExaminedShop(addresses, lambda limit_s: CourseClient(urls, limit_s, dialect), runtime, dialect=dialect)


def addresses(url: str | None, separate: Mapping[str, str | None]) -> dict[str, str]:
    """Return the address for each of `PREFIXES`: `url` where `separate` has none. Raises `UsageError` naming a bad one."""
    chosen = {prefix: separate.get(prefix) or url for prefix in PREFIXES}
    for prefix, address in chosen.items():
        if address is None:
            raise UsageError(f"no address for /{prefix}: give the URL of the gateway, or --{prefix}-url")
        try:
            parts = urlsplit(address)
            valid = (
                parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            )
        except ValueError:
            valid = False
        if not valid:
            raise UsageError(f"{address!r} is no address of a shop; give one such as http://127.0.0.1:8000")
    return {prefix: str(address) for prefix, address in chosen.items()}
