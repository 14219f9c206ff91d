"""What a request handler of the shop works with, and what it answers. The same under aiohttp and in the simulator."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import quote

from protocols.core import Command, Outcome
from protocols.ports import Clock, Result, Store, StoreDown, StoreUnknown, TimeLimit
from protocols.shop.amounts import BadAmount
from protocols.shop.ids import BadId, check_all
from protocols.shop.memory import MB, STORE_MEMORY_MB

STATUSES = ("exact", "course")
"""``exact`` tells an unknown id (404) from a refusal (409); ``course`` answers 400 for both, as the course's template does."""
FIRST_PAUSE_MS = 1.0
LONGEST_PAUSE_MS = 50.0


@dataclass(frozen=True, slots=True)
class Answer:
    """``body`` is JSON when it is a dict, else text. 2xx happened, 4xx definitely did not, 5xx is unknown."""

    status: int
    body: dict[str, Any] | str


def refused(status: int, error: str, **what: Any) -> Answer:
    """A 4xx that says what and which: nothing changed."""
    return Answer(status, {"error": error, **what})


DONE = Answer(200, "done")
UNKNOWN = Answer(503, {"error": "the outcome is unknown: ask again or look at what is there"})


@dataclass(frozen=True, slots=True)
class RequestContext:
    """One service's counter: its store, its clock, its random stream and how it reaches others.

    ``ask(service, path)`` is a read of another service's public interface, ids in the path quoted. ``checkout`` runs
    the protocol (None: unknown). ``limit_ms`` bounds each request. ``statuses``: one of ``STATUSES``. ``memory`` is what a
    store may have, in bytes; ``gone``: whether the client has left.
    """

    store: Store
    clock: Clock
    rng: Random
    limit_ms: int
    ask: Callable[[str, str], Awaitable[Answer]]
    checkout: Callable[[str], Awaitable[Outcome | None]] | None = None
    new_id: Callable[[], str] = field(default=lambda: "")
    statuses: str = "exact"
    memory: int = STORE_MEMORY_MB * MB
    gone: Callable[[], bool] = field(default=lambda: False)

    async def read(self, service: str, path: str, name: str) -> dict[str, Any] | Answer:
        """What ``service`` knows of ``name``; or its 4xx, or a 424 where it gave no answer of the contract."""
        answer = await self.ask(service, f"{path}/{quote(name, safe='')}")
        if answer.status == 200 and isinstance(answer.body, dict):
            return answer.body
        if 400 <= answer.status < 500:
            return answer
        return refused(424, f"the {service} service gave no answer about {name}; nothing happened")

    async def retry_while_locked(
        self, run: Callable[[Command], Awaitable[Result]], command: Command, limit: TimeLimit | None = None
    ) -> Result:
        """The command's result once nobody's lock is in its way; ``("locked", holder)`` when the time is up."""
        limit = limit or TimeLimit(self.limit_ms)
        pause = FIRST_PAUSE_MS
        while True:
            result = await run(command)
            if result[0] != "locked" or limit.left_ms < pause:
                return result
            await self.clock.sleep(pause * (0.5 + self.rng.random()))
            pause = min(2 * pause, LONGEST_PAUSE_MS)


Handler = Callable[..., Awaitable[Answer]]


async def serve(handler: Handler, context: RequestContext, **parameters: str) -> Answer:
    """The handler's answer, or the one that its failure stands for, with the status that this shop's clients know."""
    answer = await _served(handler, context, parameters)
    return Answer(status_of(answer.status, context.statuses), answer.body)


def status_of(status: int, statuses: str) -> int:
    """``status`` as it is, or the course's one status for all that did not happen."""
    return 400 if statuses == "course" and 400 <= status < 500 else status


async def _served(handler: Handler, context: RequestContext, parameters: Mapping[str, str]) -> Answer:
    try:
        check_all(parameters)
        return await handler(context, **parameters)
    except (BadAmount, BadId) as error:
        return refused(400, str(error))
    except StoreDown as error:
        return refused(424, f"{error}; nothing happened")
    except StoreUnknown:
        return UNKNOWN
