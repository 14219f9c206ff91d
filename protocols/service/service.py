"""One service behind its ports: what every runtime runs, whatever its store, its link and its clock are made of."""

import typing
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any

from protocols.core import Command, Config, Protocol
from protocols.ports import Clock, Link, Store, StoreDown, StoreFault, StoreUnknown, TimeLimit
from protocols.service.checkout_retrier import CheckoutRetrier, TransactionIds
from protocols.service.driver import Driver
from protocols.service.links import Handled, Rejected, nothing_to_say
from protocols.shop.memory import MB, STORE_MEMORY_MB
from protocols.shop.request_context import Answer, RequestContext, refused

ASK_AGAIN_MS = 25.0
ASK_AGAIN_LATEST_MS = 200.0
SHORTEST_WAIT_S = 0.05

Fetch = Callable[[str, int, str, float], Awaitable[Answer | None]]
"""``(service, turn, path, within_s)``: a read of another service's public interface by an instance of it, another each turn;
None where there was no answer, or a 5xx."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What a service stands on. ``new_id`` names what clients create, never twice."""

    store: Store
    link: Link
    clock: Clock
    rng: Random
    fetch: Fetch
    new_id: Callable[[], str]


class ServiceOptions(typing.Protocol):
    """What the settings of a process and the spec of a deployment both have.

    ``statuses``: see ``request_context.STATUSES``. ``store_memory_mb``: what the service's store may have.
    """

    @property
    def statuses(self) -> str: ...

    @property
    def store_memory_mb(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DefaultOptions:
    """``ServiceOptions`` of whoever gives none."""

    statuses: str = "exact"
    store_memory_mb: int = STORE_MEMORY_MB


class Service:
    """The driver, the retrier and the request context of one process of service ``name``; ``node`` is what it is called itself.

    ``recovering`` hears which transactions a recovery sweep has taken up.
    """

    def __init__(
        self,
        name: str,
        node: str,
        protocol: Protocol,
        config: Config,
        ports: Ports,
        limit_ms: int,
        options: ServiceOptions = DefaultOptions(),
        recovering: Callable[[list[str]], None] = lambda _: None,
    ) -> None:
        self.config = config
        self.role = protocol.roles[name]
        self._node = node
        self._ports = ports
        self._limit_ms = limit_ms
        self._recovering = recovering
        self._ids = TransactionIds(node)
        self.driver = Driver(
            name,
            self.role,
            config,
            ports.store,
            ports.link,
            ports.clock,
            ended=self._ids.end,
            rng=ports.rng,
            lazy=protocol.lazy,
            unheard=protocol.unheard,
        )
        attempts = CheckoutRetrier(name, node, self.driver, self._ids, ports.clock, ports.rng, limit_ms)
        memory, statuses = options.store_memory_mb * MB, options.statuses
        self.context = RequestContext(
            ports.store, ports.clock, ports.rng, limit_ms, self._ask, attempts.run, ports.new_id, statuses, memory
        )

    def receive(self, sender: str, messages: Sequence[Any], handled: Handled = nothing_to_say) -> None:
        """Messages from another process. ``handled`` is called once the effects of all of them have been carried out, with
        those that can never be."""
        rejected: list[Rejected] = []
        one = countdown(len(messages), lambda: handled(rejected))
        for message in messages:
            self.driver.receive(message, sender, one, partial(_note, rejected, message))

    async def sweep(self) -> None:
        """Again and again, take up what this node's former lives left behind and what nobody else takes care of.

        Not once for all at the start: what a former life wrote last may still be on its way to the store. Where transactions
        begin, the number of this life comes first: from then on no former life begins any.
        """
        look = Command(self.role.recovery, (self._node, self.role.orphan(self.config.timing)))
        while True:
            try:
                if self.role.name == "coordinator":
                    (life,) = await self._ports.store.call(Command("enlist", (self._node, self._ids.life)))
                    self._ids.enlist(life)
                held = self.driver.held()
                found = await self._ports.store.call(look)
            except (StoreDown, StoreUnknown):
                continue
            except StoreFault:  # said by the store; what it cannot list today it may list tomorrow
                await self._ports.clock.sleep(self.config.timing.sweep)
                continue
            if self._ids.life:
                self._ids.found(txn for txn, _ in found)
            self._recovering(self.driver.recover(found, held))
            await self._ports.clock.sleep(self.config.timing.sweep)

    async def _ask(self, service: str, path: str) -> Answer:
        """A read of another service, repeated within the time limit: reading twice changes nothing."""
        limit = TimeLimit(self._limit_ms)
        turn = 0
        while True:
            answer = await self._ports.fetch(service, turn, path, max(limit.left_ms / 1000, SHORTEST_WAIT_S))
            if answer is not None:
                return answer
            turn += 1
            pause = min(ASK_AGAIN_MS * turn, ASK_AGAIN_LATEST_MS)
            if limit.left_ms < pause:
                return refused(424, f"the {service} service could not be reached; nothing happened")
            await self._ports.clock.sleep(pause)


def _note(rejected: list[Rejected], message: Any, why: str) -> None:
    rejected.append((message, why))


def countdown(count: int, then: Callable[[], None]) -> Callable[[], None]:
    """A function that calls ``then`` at its ``count``-th call, and for a count of 0 at once."""
    left = count

    def once() -> None:
        nonlocal left
        left -= 1
        if not left:
            then()

    if not count:
        then()
    return once
