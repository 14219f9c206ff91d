"""How the clients of a simulated shop reach it: through a gateway that keeps the promises of the real one."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.process import Process
from harness.workload.client import OPERATIONS, Response, interpret
from protocols.shop.paths import meaning
from protocols.shop.request_context import Answer, Handler, RequestContext

HOP_S = 0.0003
GIVES_UP_BEFORE_S = 0.5  # the gateway answers before its client hangs up


class _Way(NamedTuple):
    """Where an operation goes: service, handler, the names of its parameters; `again`: it changes nothing."""

    service: str
    handler: Handler
    parameters: tuple[str, ...]
    again: bool


def _way(method: str, path: str) -> _Way:
    found = meaning(method, path.replace("{}", "x"))
    if isinstance(found, Answer) or found.route is None:
        raise LookupError(f"no route of the contract is {method} {path}")
    return _Way(found.service, found.route.handler, tuple(found.parameters), method == "GET")


WAYS = {operation: _way(*asked) for operation, asked in OPERATIONS.items()}


async def _healthy(_: RequestContext) -> Answer:
    """Who answers at all is healthy: a simulated store that is down is not asked here."""
    return Answer(200, "")


class SimClient:
    """A `Caller`. `limit_s` is how long it waits for each answer."""

    def __init__(self, gateway: Machine, instances: Mapping[str, Sequence[Process]], limit_s: float) -> None:
        self._gateway = gateway
        self._instances = instances
        self._turns = {service: itertools.cycle(several) for service, several in instances.items()}
        self._limit_s = limit_s
        self._loop = gateway.world.loop

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def call(self, operation: str, *args: str | int) -> Response:
        try:
            async with asyncio.timeout(self._limit_s):
                status, body = await self._through(WAYS[operation], tuple(map(str, args)))
        except TimeoutError:
            return Response("unknown", 0, "no answer in time")
        return interpret(operation, status, body)

    async def ask(self, method: str, raw: str) -> int:
        """The status of a request by its method and raw path, as the other gateways' clients send it."""
        found = meaning(method, raw) if raw.partition("?")[0] != "/health" else Answer(200, "")
        if isinstance(found, Answer):
            return found.status
        handler = found.route.handler if found.route else _healthy
        way = _Way(found.service, handler, tuple(found.parameters), method in {"GET", "HEAD"})
        return (await self._through(way, tuple(found.parameters.values())))[0]

    async def _through(self, way: _Way, args: tuple[str, ...]) -> tuple[int, Any]:
        await asyncio.sleep(HOP_S)
        while self._gateway.state == "paused":
            await self._changed([self._gateway], self._limit_s)
        if self._gateway.state != "running":
            return 503, "the gateway accepts no connection"
        deadline = self._loop.time() + self._limit_s - GIVES_UP_BEFORE_S
        parameters = dict(zip(way.parameters, args, strict=True))
        while (left_s := deadline - self._loop.time()) > 0:
            process = self._accepting(way.service)
            if process is None:
                await self._changed(self._instances[way.service], left_s)
                continue
            answer = await self._ask(process, way.handler, parameters)
            if answer is not None:
                return answer.status, answer.body
            if not way.again:
                return 502, {"error": f"the {way.service} service did not answer: the outcome is unknown"}
        return 424, {"error": f"the {way.service} service accepts no connection: nothing happened"}

    def _accepting(self, service: str) -> Process | None:
        for _ in self._instances[service]:
            process = next(self._turns[service])
            if process.accepts:
                return process
        return None

    async def _ask(self, process: Process, handler: Handler, parameters: Mapping[str, str]) -> Answer | None:
        heard: asyncio.Future[Answer | None] = self._loop.create_future()

        def tell(answer: Answer | None) -> None:
            if not heard.done():
                heard.set_result(answer)

        process.request(handler, parameters, tell)
        return await heard

    async def _changed(self, machines: Sequence[Machine], within_s: float) -> None:
        """Wait until one of them comes up, goes down or is paused, but not longer than that."""
        changed: asyncio.Future[None] = self._loop.create_future()

        def tell() -> None:
            if not changed.done():
                changed.set_result(None)

        for machine in machines:
            machine.when_changed(tell)
        try:
            async with asyncio.timeout(within_s):
                await changed
        except TimeoutError:
            pass
