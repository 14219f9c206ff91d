"""The surroundings of one run: a shop that can be broken, its clients, and the time in which both live."""

import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.history.spans import Span
from harness.runtimes import real_time
from harness.runtimes.base import Breakable
from harness.workload.client import Caller, ShopClient
from harness.workload.repeating_client import RepeatingClient

ListUnfinished = Callable[[], Awaitable[list[dict[str, Any]]]]
"""Return the unfinished transactions inside the shop, as `harness.runtimes.admin.AdminClient.unfinished` does."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A shop that can be broken.

    `list_unfinished` reads the unfinished transactions; `logs` is the folder of the nodes' logs; `clear` removes leftovers.
    `connect` gives a client that waits so many seconds for an answer; one that repeats sends a request whose connection broke
    again. `addresses`: those of the shop, of which a client of several repeats its requests at the next one. `clock` is in
    nanoseconds, `run` runs a coroutine and returns whether it was interrupted: both in the environment's own time. `trace` is
    the text by which two runs are compared, `usage` the resources that each node has used so far, where the runtime measures
    them, `spans` the trace of each transaction, `costs` the usage until now, as
    `harness.runtimes.deployment.cost_meter.CostMeter` returns it.
    """

    runtime: Breakable
    list_unfinished: ListUnfinished
    logs: Path | None = None
    clear: Callable[[], None] = lambda: None
    connect: Callable[[float, bool], AbstractAsyncContextManager[Caller]] | None = None
    clock: Callable[[], int] = time.monotonic_ns
    run: Callable[[Coroutine[Any, Any, None]], bool] = real_time.run
    trace: Callable[[], str] = str
    usage: Callable[[], list[dict[str, Any]]] = list
    spans: Callable[[], list[Span]] = list
    addresses: Callable[[], Sequence[str]] = tuple
    costs: Callable[[], Awaitable[list[dict[str, Any]]]] | None = None

    def client(self, limit_s: float, *, repeats: bool = False) -> AbstractAsyncContextManager[Caller]:
        """Return a client that waits so many seconds for a response, see `connect`."""
        if self.connect:
            return self.connect(limit_s, repeats)
        several = self.addresses()
        if len(several) > 1:
            return RepeatingClient(several[0], limit_s, several[1:])
        return (RepeatingClient if repeats else ShopClient)(self.runtime.url, limit_s)
