"""The three ports behind which the driver runs everywhere: a store, a link, a clock. Each ships with a fake.

The real ones are ``service.store.ValkeyStore``, a link of ``service/links/`` and ``LoopClock``; the simulator brings its own.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from protocols.core import Command
from protocols.store.tables import Result


class StoreDown(Exception):
    """The command was not executed and never will be: its time limit ended while it waited for the store."""


class StoreFull(StoreDown):
    """The store has no memory for the data of the command, and has not executed any part of it."""


class StoreFault(Exception):
    """The store can serve and rejected this very command: it will never execute it, however often the command is sent."""


class StoreUnknown(Exception):
    """The command was sent, and its answer was lost: it may have been executed."""


class Store(Protocol):
    """One service's store. It executes commands in the order of their submission.

    ``generation``: see ``protocols.store.lives``.
    """

    generation: int

    def submit(
        self, command: Command, then: Callable[[Result], None], refused: Callable[[str], None] = lambda _: None
    ) -> None:
        """Execute a command that may safely run twice: it is repeated until its result arrives.

        ``refused`` is called instead of ``then``, with the store's words, for a command that it will never execute. A store
        that is absent, full or not ready yet refuses nothing.
        """

    async def call(self, command: Command) -> Result:
        """Execute it and return its result within the store's time limit. Raises ``StoreDown`` or ``StoreUnknown``."""

    async def once(self, command: Command) -> Result:
        """Execute a command that must not run twice: sent at most once. Raises ``StoreDown`` or ``StoreUnknown``."""


class Link(Protocol):
    """The way to other instances."""

    def send(self, to: str, message: Any) -> None:
        """Send a message to a service's name or an instance's address. It may be lost: a sender without an answer repeats it."""


class TimeLimit:
    """A time limit, ``limit_ms`` from now, by the event loop's clock: a wall clock may jump during a wait."""

    __slots__ = ("_loop", "_until_s")

    def __init__(self, limit_ms: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._until_s = self._loop.time() + limit_ms / 1000

    @property
    def left_ms(self) -> float:
        """Return the milliseconds that are left, negative after the end."""
        return (self._until_s - self._loop.time()) * 1000


class Timer(Protocol):
    """A call in the future."""

    def cancel(self) -> None: ...


class Clock(Protocol):
    """The time and the timers of one node."""

    def now_us(self) -> int:
        """Return the microseconds since the epoch by this node's clock, which may be wrong."""

    def call_later(self, after_ms: float, call: Callable[[], None]) -> Timer: ...

    async def sleep(self, ms: float) -> None: ...


class SkewedClock(Clock, Protocol):
    """A clock that can be set wrong, as a fault, by ``offset_us``."""

    offset_us: int


class LoopClock:
    """The wall clock and the running event loop's timers. ``offset_us`` skews the former, as a fault."""

    def __init__(self) -> None:
        self.offset_us = 0

    def now_us(self) -> int:
        return time.time_ns() // 1000 + self.offset_us

    def call_later(self, after_ms: float, call: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(after_ms / 1000, call)

    async def sleep(self, ms: float) -> None:
        await asyncio.sleep(ms / 1000)
