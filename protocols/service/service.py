"""One service behind its ports. Every runtime runs this code, with its own store, link and clock."""

import typing
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from random import Random
from typing import Any

from protocols.backoff import Backoff
from protocols.core import Command, Config, Protocol
from protocols.ports import Clock, Link, Store, StoreDown, StoreFault, StoreUnknown, TimeLimit
from protocols.service.checkout_retrier import CheckoutRetrier
from protocols.service.driver import Driver
from protocols.service.links import Handled, Rejected, ignore_rejected
from protocols.service.transaction_ids import TransactionIds
from protocols.shop.memory import MB, STORE_MEMORY_MB
from protocols.shop.request_context import Answer, RequestContext, refused

QUERY_PAUSE_MS = 25.0
LONGEST_QUERY_PAUSE_MS = 200.0
SHORTEST_QUERY_S = 0.05

Fetch = Callable[[str, int, str, float], Awaitable[Answer | None]]
"""`(service, turn, path, within_s)`: read from an instance of another service, another instance each turn.

Returns None where there was no answer, or a 5xx.
"""


@dataclass(frozen=True, slots=True)
class ServicePorts:
    """Everything outside a service that it uses.

    `new_id` names the objects that clients create, never one name twice. `process` names this process, and no other one.
    """

    store: Store
    link: Link
    clock: Clock
    rng: Random
    fetch: Fetch
    new_id: Callable[[], str]
    process: str


class ServiceOptions(typing.Protocol):
    """The options that a process's settings and a deployment's spec have in common.

    `statuses` is one of `request_context.STATUSES`; `store_memory_mb` is the memory limit of the service's store.
    """

    @property
    def statuses(self) -> str: ...

    @property
    def store_memory_mb(self) -> int: ...


@dataclass(frozen=True, slots=True)
class DefaultOptions:
    """The `ServiceOptions` of a caller that gives none."""

    statuses: str = "exact"
    store_memory_mb: int = STORE_MEMORY_MB


class ServiceLog(typing.Protocol):
    """A receiver of the events of a service that an operator should see."""

    def recovering(self, txns: Sequence[str]) -> None:
        """Record that a sweep has recovered these transactions."""

    def superseded(self, life: int, newer_life: int) -> None:
        """Record that another process has begun a newer life of this instance: the store rejects this process's transactions.

        Called once in the life of a process.
        """


class NoLog:
    """A `ServiceLog` that records nothing."""

    def recovering(self, txns: Sequence[str]) -> None: ...

    def superseded(self, life: int, newer_life: int) -> None: ...


NO_LOG = NoLog()


class Service:
    """The driver, the retrier and the request context of one process of service `name`; `node` is the instance's name."""

    def __init__(
        self,
        name: str,
        node: str,
        protocol: Protocol,
        config: Config,
        ports: ServicePorts,
        limit_ms: int,
        options: ServiceOptions = DefaultOptions(),
        log: ServiceLog = NO_LOG,
    ) -> None:
        self.config = config
        self.role = protocol.roles[name]
        self._node = node
        self._ports = ports
        self._limit_ms = limit_ms
        self._log = log
        self._superseded = False
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
            batched=protocol.batched,
            fire_and_forget=protocol.fire_and_forget,
        )
        retrier = CheckoutRetrier(name, node, self.driver, self._ids, ports.clock, ports.rng, limit_ms)
        memory, statuses = options.store_memory_mb * MB, options.statuses
        self.context = RequestContext(
            ports.store, ports.clock, ports.rng, limit_ms, self._query, retrier.run, ports.new_id, statuses, memory
        )

    def receive(self, sender: str, messages: Sequence[Any], handled: Handled = ignore_rejected) -> None:
        """Handle messages of another process.

        `handled` is called once the effects of all of them have been carried out, with the messages that never can be.
        """
        rejected: list[Rejected] = []
        handled_one = countdown(len(messages), lambda: handled(rejected))
        for message in messages:
            self.driver.receive(message, sender, handled_one, partial(_reject, rejected, message))

    async def sweep(self) -> None:
        """Recover, again and again, the transactions that former lives of this node or other nodes have left unfinished.

        Once at the start would not be enough: the last write of a former life may still be on its way to the store. A
        coordinator enlists first: from the moment on at which its life has a number, no former life begins a transaction.
        """
        list_unfinished = Command(self.role.recovery, (self._node, self.role.orphan_age_ms(self.config.timing)))
        while True:
            try:
                if self.role.name == "coordinator":
                    await self._enlist()
                before = self.driver.snapshot()
                unfinished = await self._ports.store.call(list_unfinished)
            except (StoreDown, StoreUnknown):
                continue  # the call has waited for its time limit, so this is no busy loop
            except StoreFault:
                # The store has logged it. A record that it cannot list today may be gone or mended at the next sweep.
                await self._ports.clock.sleep(self.config.timing.sweep_every_ms)
                continue
            if self._ids.life:
                self._ids.set_unfinished(txn for txn, _ in unfinished)
            self._log.recovering(self.driver.recover(unfinished, before))
            await self._ports.clock.sleep(self.config.timing.sweep_every_ms)

    async def _enlist(self) -> None:
        # Behind the store's generation this life is a former one: its transactions may be among what the store has lost.
        anew = self._ids.life < self._ports.store.generation and not self._superseded
        if anew or not self._ids.life:
            await self._begin_life()
            return
        newest, _ = await self._latest(self._ids.life)
        self._ids.enlist(newest)
        if self._ids.newest_life > self._ids.life and not self._superseded:
            self._superseded = True
            self._log.superseded(self._ids.life, self._ids.newest_life)

    async def _begin_life(self) -> None:
        """Begin a life with a number that is at least the time, so that it exceeds one that the store may have lost."""
        life = self._ports.clock.now_us() // 1000
        while (latest := await self._latest(life)) != (life, self._ports.process):
            life = max(latest[0], self._ports.store.generation, life) + 1
        self._ids.enlist(life, anew=True)

    async def _latest(self, life: int) -> tuple[int, str]:
        """Enlist this process; return the latest life of the instance and its process."""
        command = Command("enlist", (self._node, life, self._ports.process))
        newest, process = await self._ports.store.call(command)
        return newest, process

    async def _query(self, service: str, path: str) -> Answer:
        """Read from another service, repeatedly within the time limit: a read that happens twice changes nothing."""
        limit = TimeLimit(self._limit_ms)
        backoff = Backoff(QUERY_PAUSE_MS, LONGEST_QUERY_PAUSE_MS)
        for turn in count():
            answer = await self._ports.fetch(service, turn, path, max(limit.left_ms / 1000, SHORTEST_QUERY_S))
            if answer is not None:
                return answer
            pause_ms = backoff.next_ms()
            if limit.left_ms < pause_ms:
                break
            await self._ports.clock.sleep(pause_ms)
        return refused(424, f"the {service} service could not be reached; nothing happened")


def _reject(rejected: list[Rejected], message: Any, why: str) -> None:
    rejected.append((message, why))


def countdown(times: int, then: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls `then` at its call number `times`. For 0, `then` is called at once."""
    left = times

    def count_down() -> None:
        nonlocal left
        left -= 1
        if not left:
            then()

    if not times:
        then()
    return count_down
