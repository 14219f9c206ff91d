"""One life of a node, from its start to its end: a process, or a container between two starts."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.process import Identity


class ProcessHandle(Protocol):
    """One life of a node, as its supervisor sees it."""

    @property
    def identity(self) -> Identity | None:
        """Return its identity, different for each life; None if it was over before it could be read."""

    @property
    def url(self) -> str:
        """Return its address, if that changes from life to life; else empty."""

    @property
    def paused(self) -> bool:
        """Return whether it is stopped by a pause."""

    @property
    def ended(self) -> bool:
        """Return whether it is over; this is true before `over` returns."""

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal; return False if the life is over. Signals may take effect a little later, in their order."""

    def limit_files(self, most: int | None) -> None:
        """Bound the size of its files, in bytes; None: no bound. The bound may take effect a little later."""

    async def over(self) -> None:
        """Return once it has ended."""


Begin = Callable[[NodeSpec, Mapping[str, str]], Awaitable[ProcessHandle]]
"""Begin one life of a node with these variables. Raises `OSError` or `EnvironmentFailure` if it cannot."""
