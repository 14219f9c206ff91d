"""The context of a request handler of the shop, and its answers. The same under aiohttp and in the simulator."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any
from urllib.parse import quote

from protocols.backoff import Backoff
from protocols.core import Command
from protocols.outcomes import Outcome
from protocols.ports import Clock, Store, StoreDown, StoreUnknown, TimeLimit
from protocols.shop.amounts import BadAmount
from protocols.shop.ids import BadId, check_all
from protocols.shop.keyed import CREATING
from protocols.shop.memory import MB, STORE_MEMORY_MB
from protocols.store.keys import KEPT
from protocols.store.tables import Result

STATUSES = ("exact", "course")
"""`exact` separates an unknown id (404) from a rejection (409); `course` answers 400 for both, as the course's template does."""
FIRST_PAUSE_MS = 1.0
LONGEST_PAUSE_MS = 50.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request; `body` is sent as JSON if it is a dict, else as text.

    2xx: it happened. 4xx: it definitely did not happen. 5xx: unknown. A 4xx that is not `final` holds for this copy of a request
    alone: another copy, with the same idempotency key, may have its effect.
    """

    status: int
    body: dict[str, Any] | str
    final: bool = True


def refused(status: int, error: str, **subjects: Any) -> Answer:
    """Return a 4xx with an error message and the ids that it is about: nothing has changed.

    A 424 is not final: no store has it, because a store or a service did not respond.
    """
    return Answer(status, {"error": error, **subjects}, final=status != 424)


DONE = Answer(200, "done")
UNKNOWN = Answer(503, {"error": "the outcome is unknown: repeat the request, or read the data"})


class OtherRequest(Exception):
    """An idempotency key that belongs to another request."""


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The store, the clock and the random stream of one service, its ways to other services, and the key of one request.

    `query(service, path)` reads from another service's public interface; ids in the path are quoted. `checkout(order, key)`
    runs the protocol and returns the outcome, None for an unknown one, and the last transaction, "" for none. `limit_ms` bounds
    each request. `statuses` is one of `STATUSES`. `memory` is the store's limit in bytes. `gone()` returns whether the client
    has left. `key` is the idempotency key of the request, "" for none, and `request` describes it: a repetition has the same.
    """

    store: Store
    clock: Clock
    rng: Random
    limit_ms: int
    query: Callable[[str, str], Awaitable[Answer]]
    checkout: Callable[[str, str], Awaitable[tuple[Outcome | None, str]]] | None = None
    new_id: Callable[[], str] = field(default=lambda: "")
    statuses: str = "exact"
    memory: int = STORE_MEMORY_MB * MB
    gone: Callable[[], bool] = field(default=lambda: False)
    key: str = ""
    request: str = ""

    async def read(self, service: str, path: str, name: str) -> dict[str, Any] | Answer:
        """Read the object `name` of another service: its fields, its 4xx, or a 424 for an answer outside the contract."""
        answer = await self.query(service, f"{path}/{quote(name, safe='')}")
        if answer.status == 200 and isinstance(answer.body, dict):
            return answer.body
        if 400 <= answer.status < 500:
            return answer
        return refused(424, f"the {service} service gave no answer about {name}; nothing happened")

    async def create(self, command: Command) -> str:
        """Execute a command that creates an object, and return the object's id: that of the first copy of this request."""
        if self.key:
            return (await self._execute(self.key, command))[0]
        await self.store.call(command)
        return str(command.args[0])

    async def change(self, command: Command, limit: TimeLimit | None = None, part: str = "") -> Result:
        """Execute a command that changes data, once for all copies of this request, and return its result.

        A lock of a transaction delays it until the time limit. `part` tells apart the commands of a request of several.
        """
        if not self.key:
            return await self.retry_while_locked(self.store.once, command, limit)
        key = self.key + part

        async def run(command: Command) -> Result:
            return (await self._execute(key, command))[1]

        result = await self.retry_while_locked(run, command, limit)
        if result[0] == "locked":
            # A copy of this request may still come to the lock: the rejection has to be final for it as well.
            return await replace(self, key=key).conclude(str(command.args[0]), result)
        return result

    async def conclude(self, subject: str, result: Result) -> Result:
        """Make a result final that no command has; return the one of the first copy of this request with a result."""
        if not self.key:
            return result
        _, _, stored = await self._keyed("conclude", self.key, subject, *result)
        return tuple(stored)

    async def reject_checkout(self, order: str, txn: str, why: str) -> Result:
        """Make the rejection of a checkout final for all copies of this request. Results as of the command."""
        return await self._keyed("reject_checkout", self.key, order, txn, why)

    async def _execute(self, key: str, command: Command) -> tuple[str, Result]:
        name = "keyed_creation" if command.name in CREATING else "keyed"
        _, subject, stored = await self._keyed(name, key, command.name, *command.args)
        return subject, stored

    async def _keyed(self, name: str, key: str, *args: Any) -> Result:
        # `call`: with a key, a command may run twice.
        result = await self.store.call(Command(name, (key, KEPT, self.request, *args)))
        if result[0] == "other":
            raise OtherRequest(self.key)
        return result

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


async def serve(handler: Handler, context: RequestContext, key: str = "", **parameters: str) -> Answer:
    """Return the handler's answer, or the one for its exception, with the status for the setting `statuses`.

    `key` is the idempotency key of the request, "" for none.
    """
    if key:
        context = replace(context, key=key, request=" ".join((handler.__name__, *parameters.values())))
    answer = await _answer(handler, context, parameters)
    status = status_of(answer.status, context.statuses)
    return answer if status == answer.status else replace(answer, status=status)


def status_of(status: int, statuses: str) -> int:
    """Return the status as it is, or the course's one status for all requests that did not happen."""
    return 400 if statuses == "course" and 400 <= status < 500 else status


async def _answer(handler: Handler, context: RequestContext, parameters: Mapping[str, str]) -> Answer:
    try:
        check_all(parameters)
        return await handler(context, **parameters)
    except (BadAmount, BadId) as error:
        return refused(400, str(error))
    except OtherRequest as error:
        return refused(422, f"the idempotency key {error} belongs to another request; nothing happened")
    except StoreDown as error:
        return refused(424, f"{error}; nothing happened")
    except StoreUnknown:
        return UNKNOWN
