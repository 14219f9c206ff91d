"""The context of a request handler of the shop, and its answers. The same under aiohttp and in the simulator."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

from protocols.backoff import Backoff
from protocols.core import Command
from protocols.outcomes import Outcome
from protocols.ports import Clock, Store, StoreDown, StoreUnknown, TimeLimit
from protocols.shop.amounts import BadAmount
from protocols.shop.ids import BadId, check_all
from protocols.shop.memory import MB, STORE_MEMORY_MB
from protocols.store.tables import Result

STATUSES = ("exact", "course")
"""`exact` separates an unknown id (404) from a rejection (409); `course` answers 400 for both, as the course's template does."""
FIRST_PAUSE_MS = 1.0
LONGEST_PAUSE_MS = 50.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request; `body` is sent as JSON if it is a dict, else as text.

    2xx: it happened. 4xx: it definitely did not happen. 5xx: unknown.
    """

    status: int
    body: dict[str, Any] | str


def refused(status: int, error: str, **subjects: Any) -> Answer:
    """Return a 4xx with an error message and the ids that it is about: nothing has changed."""
    return Answer(status, {"error": error, **subjects})


DONE = Answer(200, "done")
UNKNOWN = Answer(503, {"error": "the outcome is unknown: repeat the request, or read the data"})


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The store, the clock and the random stream of one service, and its ways to other services.

    `query(service, path)` reads from another service's public interface; ids in the path are quoted. `checkout` runs the
    protocol and returns None for an unknown outcome. `limit_ms` bounds each request. `statuses` is one of `STATUSES`. `memory`
    is the store's limit in bytes. `gone()` returns whether the client has left.
    """

    store: Store
    clock: Clock
    rng: Random
    limit_ms: int
    query: Callable[[str, str], Awaitable[Answer]]
    checkout: Callable[[str], Awaitable[Outcome | None]] | None = None
    new_id: Callable[[], str] = field(default=lambda: "")
    statuses: str = "exact"
    memory: int = STORE_MEMORY_MB * MB
    gone: Callable[[], bool] = field(default=lambda: False)

    async def read(self, service: str, path: str, name: str) -> dict[str, Any] | Answer:
        """Read the object `name` of another service: its fields, its 4xx, or a 424 for an answer outside the contract."""
        answer = await self.query(service, f"{path}/{quote(name, safe='')}")
        if answer.status == 200 and isinstance(answer.body, dict):
            return answer.body
        if 400 <= answer.status < 500:
            return answer
        return refused(424, f"the {service} service gave no answer about {name}; nothing happened")

    async def retry_while_locked(
        self, run: Callable[[Command], Awaitable[Result]], command: Command, limit: TimeLimit | None = None
    ) -> Result:
        """Run a command until no lock of a transaction is in its way; return `("locked", holder)` at the time limit."""
        limit = limit or TimeLimit(self.limit_ms)
        backoff = Backoff(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, self.rng)
        while True:
            result = await run(command)
            if result[0] != "locked" or limit.left_ms < backoff.pause_ms:
                return result
            await self.clock.sleep(backoff.next_ms())


Handler = Callable[..., Awaitable[Answer]]


async def serve(handler: Handler, context: RequestContext, **parameters: str) -> Answer:
    """Return the handler's answer, or the one for its exception, with the status for the setting `statuses`."""
    answer = await _answer(handler, context, parameters)
    return Answer(status_of(answer.status, context.statuses), answer.body)


def status_of(status: int, statuses: str) -> int:
    """Return the status as it is, or the course's one status for all requests that did not happen."""
    return 400 if statuses == "course" and 400 <= status < 500 else status


async def _answer(handler: Handler, context: RequestContext, parameters: Mapping[str, str]) -> Answer:
    try:
        check_all(parameters)
        return await handler(context, **parameters)
    except (BadAmount, BadId) as error:
        return refused(400, str(error))
    except StoreDown as error:
        return refused(424, f"{error}; nothing happened")
    except StoreUnknown:
        return UNKNOWN
