"""The thread of the orders to one node: a library or a command that blocks must not stop the event loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from harness.errors import EnvironmentFailure

T = TypeVar("T")


class OrderThread:
    """A thread that carries out orders one after the other. `trouble` has one line for each order that failed."""

    def __init__(self, name: str) -> None:
        self.trouble: list[str] = []
        self._name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._under_way: set[Future[None]] = set()

    def enter(self, work: Callable[..., None], *arguments: Any) -> None:
        """Carry out an order after all earlier ones; `settled` waits for it, and its failure becomes a line of `trouble`."""
        future = self._thread.submit(work, *arguments)
        self._under_way.add(future)
        future.add_done_callback(self._carried_out)

    async def call(self, work: Callable[..., T], *arguments: Any) -> T:
        """Carry out work after all earlier orders, and return its result or raise its error."""
        return await asyncio.wrap_future(self._thread.submit(work, *arguments))

    async def settled(self) -> None:
        """Return once every order is carried out, or in `trouble`."""
        # Shielded: an order stands, also when the task that waits for it is cancelled.
        waits = [asyncio.shield(asyncio.wrap_future(order)) for order in tuple(self._under_way)]
        await asyncio.gather(*waits, return_exceptions=True)

    def take_trouble(self) -> list[str]:
        """Return the lines of trouble since the last call."""
        trouble, self.trouble = self.trouble, []
        return trouble

    def close(self) -> None:
        """Take no more orders; those under way are carried out."""
        self._thread.shutdown(wait=False)

    def _carried_out(self, future: Future[None]) -> None:
        self._under_way.discard(future)
        if not future.cancelled() and (error := future.exception()) is not None:
            known = isinstance(error, EnvironmentFailure)
            self.trouble.append(str(error) if known else f"{self._name}: {error!r}")
