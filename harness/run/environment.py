"""Where a run takes place: one row a runtime, which imports what it needs when it is chosen."""

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.history import spans
from harness.run import real_time
from harness.run.plan import Plan
from harness.run.quiescence import Ask
from harness.runtimes.base import Breakable
from harness.workload.client import Caller, ShopClient
from protocols.errors import UsageError

if TYPE_CHECKING:
    from harness.runtimes.local.deployment import LocalDeployment


@dataclass(frozen=True, slots=True)
class Site:
    """A shop that can be broken. `ask` looks into it; `logs` is where its nodes speak; `clear` removes what it left.

    `connect` gives a client that waits so many seconds for an answer. `clock` is in nanoseconds, `run` runs the whole and
    says whether it was interrupted: both in the site's own time. `trace` is what there is to compare two runs by,
    `usage` what each node has used so far, where that is known, `steps` what services did for each transaction, `costs` what
    each node has used until now, as `harness.runtimes.local.meter.Meter` tells it.
    """

    runtime: Breakable
    ask: Ask
    logs: Path | None = None
    clear: Callable[[], None] = lambda: None
    connect: Callable[[float], AbstractAsyncContextManager[Caller]] | None = None
    clock: Callable[[], int] = time.monotonic_ns
    run: Callable[[Coroutine[Any, Any, None]], bool] = real_time.run
    trace: Callable[[], str] = str
    usage: Callable[[], list[dict[str, Any]]] = list
    steps: Callable[[], list[spans.Span]] = list
    costs: Callable[[], Awaitable[list[dict[str, Any]]]] | None = None

    def client(self, limit_s: float) -> AbstractAsyncContextManager[Caller]:
        return self.connect(limit_s) if self.connect else ShopClient(self.runtime.url, limit_s)


def local(plan: Plan) -> Site:
    from harness.runtimes.local.deployment import LocalDeployment  # noqa: PLC0415 - the simulator needs no process

    return _in_a_folder(LocalDeployment, plan)


def docker(plan: Plan) -> Site:
    from harness.runtimes.docker.deployment import DockerDeployment  # noqa: PLC0415 - who has no engine needs none

    site = _in_a_folder(DockerDeployment, plan)
    shop = site.runtime
    assert isinstance(shop, DockerDeployment)

    async def costs() -> list[dict[str, Any]]:
        kinds = {node.name: node.kind for node in shop.nodes()}
        return [{**row, "kind": kinds[row["node"]]} for row in shop.usage() if row["node"] in kinds]

    return replace(site, usage=shop.usage, costs=costs)


def _in_a_folder(kind: "type[LocalDeployment]", plan: Plan) -> Site:
    from harness.runtimes.admin import AdminClient  # noqa: PLC0415 - clients of HTTP and of stores, which the simulator does without
    from harness.runtimes.deployment import temporary  # noqa: PLC0415
    from harness.runtimes.local.meter import Meter  # noqa: PLC0415

    spec = plan.spec()
    folder = temporary.make("chaos-")
    shop = kind(spec, folder)

    async def ask() -> list[dict[str, object]]:
        return await AdminClient(shop.nodes(), shop.secret).unfinished()

    logs = shop.folder.logs
    return Site(
        shop,
        ask,
        logs,
        lambda: temporary.remove(folder),
        steps=lambda: spans.from_logs(logs),
        costs=Meter(shop).look,
    )


def sim(plan: Plan) -> Site:
    from harness.runtimes.sim import loop as virtual_time  # noqa: PLC0415 - real runs need none of it
    from harness.runtimes.sim.simulation import Simulation  # noqa: PLC0415

    loop = virtual_time.VirtualLoop()
    shop = Simulation(plan.spec(), plan.seed, loop, plan.salt)
    return Site(
        shop,
        shop.unfinished,
        connect=shop.client,
        clock=loop.time_ns,
        run=lambda work: virtual_time.run(loop, work),
        trace=shop.world.trace.text,
        steps=lambda: spans.from_simulation(shop.world.steps.lines()),
    )


SIMULATED = "sim"

SITES: Mapping[str, Callable[[Plan], Site]] = {SIMULATED: sim, "local": local, "docker": docker}


def site(plan: Plan) -> Site:
    """Raises `UsageError` naming the runtimes there are, or what is wrong with the plan."""
    if plan.runtime not in SITES:
        raise UsageError(f"no runtime {plan.runtime!r} for `wdm chaos`; there are: {', '.join(SITES)}")
    return SITES[plan.runtime](plan)
