"""The clients of a simulated shop, and its gateway, which keeps the promises of the real one."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from harness.runtimes.sim.gateway import SimGateway
from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.process import Process
from harness.workload.client import OPERATIONS, Response, interpret
from protocols.shop.paths import meaning
from protocols.shop.request_context import Answer, Handler, RequestContext, status_of

HOP_S = 0.0003
GIVES_UP_BEFORE_S = 0.5  # the gateway answers before its client's time limit


class _Target(NamedTuple):
    """The service and the handler of an operation, and its parameters' names. `repeatable`: it changes nothing."""

    service: str
    handler: Handler
    parameters: tuple[str, ...]
    repeatable: bool


def _target(method: str, path: str) -> _Target:
    meant = meaning(method, path.replace("{}", "x"))
    if isinstance(meant, Answer) or meant.route is None:
        raise LookupError(f"no route of the contract is {method} {path}")
    return _Target(meant.service, meant.route.handler, tuple(meant.parameters), method == "GET")


TARGETS = {operation: _target(*call) for operation, call in OPERATIONS.items()}


async def _healthy(_: RequestContext) -> Answer:
    """Return 200: a process that answers is healthy. The simulated stores are not probed."""
    return Answer(200, "")


class _Connection:
    """The connection of one request to a gateway, which breaks when the gateway dies. `turn` chooses among those that accept."""

    def __init__(self, gateways: Sequence[SimGateway], turn: int) -> None:
        self._gateways = gateways
        self._turn = turn
        self._gateway: SimGateway | None = None

    def gateway(self, *, again: bool) -> SimGateway | None:
        """Return the gateway: the one of before, or after its death another one if `again`; None if there is none.

        A paused gateway accepts connections where no other one does.
        """
        if self._gateway is not None and not self._gateway.has(self):
            if not again:
                return None
            self._gateway = None
        if self._gateway is None:
            accepting = [gateway for gateway in self._gateways if gateway.accepts]
            candidates = accepting or [gateway for gateway in self._gateways if gateway.state == "paused"]
            if not candidates:
                return None
            self._gateway = candidates[self._turn % len(candidates)]
            self._gateway.open(self)
        return self._gateway

    def close(self) -> None:
        """Note at the gateway that the request has ended."""
        if self._gateway is not None:
            self._gateway.close(self)


class SimClient:
    """A `Caller` of a simulated shop.

    `limit_s` bounds its wait for each response; `statuses` are those of the shop; `keys` are the numbers in the gateway's
    idempotency keys. A client that `repeats` waits for a gateway that is down, and sends a request whose connection broke with
    the gateway again, with the same key.
    """

    def __init__(
        self,
        gateways: Sequence[SimGateway],
        instances: Mapping[str, Sequence[Process]],
        limit_s: float,
        statuses: str,
        keys: Iterator[int],
        repeats: bool = False,
    ) -> None:
        self._gateways = gateways
        self._requests = itertools.count()
        self._instances = instances
        self._turns = {service: itertools.cycle(several) for service, several in instances.items()}
        self._limit_s = limit_s
        self._repeats = repeats
        self._keys = keys
        self._nothing_happened = status_of(424, statuses)
        self._loop = gateways[0].world.loop

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    async def call(self, operation: str, *args: str | int) -> Response:
        """Send a request and return its response, `unknown` after the time limit."""
        try:
            async with asyncio.timeout(self._limit_s):
                status, body = await self._through(TARGETS[operation], tuple(map(str, args)))
        except TimeoutError:
            return Response("unknown", 0, "no answer in time")
        return interpret(operation, status, body)

    async def status_of(self, method: str, raw: str) -> int:
        """Return the status of a request by its method and raw path, by the rules of the other gateways."""
        meant = meaning(method, raw) if raw.partition("?")[0] != "/health" else Answer(200, "")
        if isinstance(meant, Answer):
            return meant.status
        handler = meant.route.handler if meant.route else _healthy
        target = _Target(meant.service, handler, tuple(meant.parameters), method in {"GET", "HEAD"})
        return (await self._through(target, tuple(meant.parameters.values())))[0]

    async def _through(self, target: _Target, args: tuple[str, ...]) -> tuple[int, Any]:
        await asyncio.sleep(HOP_S)
        connection = _Connection(self._gateways, next(self._requests))
        try:
            return await self._over(connection, target, args)
        finally:
            connection.close()

    async def _over(self, connection: "_Connection", target: _Target, args: tuple[str, ...]) -> tuple[int, Any]:
        deadline = self._loop.time() + self._limit_s - GIVES_UP_BEFORE_S
        parameters = dict(zip(target.parameters, args, strict=True))
        key = "" if target.repeatable else f"gateway-{next(self._keys)}"
        sent = False
        while (left_s := deadline - self._loop.time()) > 0:
            gateway = connection.gateway(again=self._repeats)
            if gateway is None or gateway.state == "paused":
                if gateway is None and not self._repeats:
                    return 0, "the gateway accepts no connection, or the connection to it broke"
                await self._changed(self._gateways, left_s)
                continue
            process = self._accepting(target.service)
            if process is None:
                await self._changed(self._instances[target.service], left_s)
                continue
            answer = await self._request(gateway, process, target.handler, parameters, key)
            if answer is not None and (answer.final or not sent):
                return answer.status, answer.body
            # The process or the gateway has died after the request was sent, so it may have happened: with its key, once.
            sent = True
        if sent and not target.repeatable:
            return 502, {"error": f"the {target.service} service did not answer: the outcome is unknown"}
        return self._nothing_happened, {
            "error": f"the {target.service} service accepts no connection: nothing happened"
        }

    def _accepting(self, service: str) -> Process | None:
        for _ in self._instances[service]:
            process = next(self._turns[service])
            if process.accepts:
                return process
        return None

    async def _request(
        self, gateway: SimGateway, process: Process, handler: Handler, parameters: Mapping[str, str], key: str
    ) -> Answer | None:
        response: asyncio.Future[Answer | None] = self._loop.create_future()

        def resolve(answer: Answer | None) -> None:
            if not response.done():
                response.set_result(answer)

        def broken() -> None:
            if gateway.state == "down":
                resolve(None)
            elif not response.done():
                gateway.when_changed(broken)

        gateway.when_changed(broken)
        process.request(handler, parameters, resolve, key)
        return await response

    async def _changed(self, machines: Sequence[Machine], within_s: float) -> None:
        """Return after a change of state of one of the machines, or after `within_s`."""
        changed: asyncio.Future[None] = self._loop.create_future()

        def resolve() -> None:
            if not changed.done():
                changed.set_result(None)

        for machine in machines:
            machine.when_changed(resolve)
        try:
            async with asyncio.timeout(within_s):
                await changed
        except TimeoutError:
            pass
