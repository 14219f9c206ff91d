"""One life of a node, from its start to its end: a process, or a container between two starts."""

import signal
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.process import Identity


class ProcessHandle(Protocol):
    """What a keeper asks of it, whatever it is."""

    @property
    def identity(self) -> Identity | None:
        """Different for each life; None if it was over before anybody looked."""

    @property
    def url(self) -> str:
        """Where it is reached, if that changes from life to life; else empty."""

    @property
    def paused(self) -> bool: ...

    @property
    def ended(self) -> bool:
        """Whether it is over, known to whoever looks before it is known to whoever waits."""

    def signal(self, number: signal.Signals) -> bool:
        """False if it is over. It may take effect a little later; two take effect in their order."""

    def limit_files(self, most: int | None) -> None:
        """Let no file grow beyond so many bytes; None: without a limit. It may take effect a little later."""

    async def over(self) -> None:
        """Return once it has ended."""


Begin = Callable[[NodeSpec, Mapping[str, str]], Awaitable[ProcessHandle]]
"""Begin one life of a node with these variables. Raises `OSError` or `EnvironmentFailure` if it cannot."""
