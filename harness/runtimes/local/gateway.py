"""The one address of the shop: `python -m harness.runtimes.local.gateway`.

The gateway forwards `/orders/*`, `/stock/*` and `/payment/*` to the workers of a service in turn, method and raw path
unchanged. Its statuses keep the promise of the contract:

- a worker that refuses the connection has certainly received nothing: the next worker gets the request, and so on within the
  time limit, so that a restart of a service costs time and no failure; then 424, nothing happened;
- a request whose connection breaks after it was sent may have had its effect. It is sent again, with the same idempotency key:
  that of the client, or one of the gateway. A service carries out one of all copies, and gives its answer to each;
- the outcome of a request that was sent, and had no answer within the time limit, is unknown: 502.

SIGTERM and SIGINT drain the gateway: it accepts no further connection, answers the requests under way with `Connection: close`,
and ends. Several gateways share one listening socket, which the deployment opens: `protocols.service.shared_socket`.
"""

import asyncio
import json
import os
import re
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import count, cycle

import uvloop
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientHandlerType,
    ClientOSError,
    ClientRequest,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    HttpVersion11,
    ServerDisconnectedError,
    TCPConnector,
    web,
)
from yarl import URL

from harness.runtimes.deployment.limits import allow_many_files
from protocols.backoff import Backoff
from protocols.service.http import (
    BACKLOG,
    BoundedServer,
    body_of,
    bound_logs,
    json_response,
    listen,
    most_connections,
    stop_listening,
    until_idle,
)
from protocols.service.shared_socket import SharedSocket
from protocols.service.tasks import Background
from protocols.shop.idempotency_key import FINAL_HEADER, KEY_HEADER
from protocols.shop.ids import BadId, shown
from protocols.shop.paths import check_path, service_of
from protocols.shop.request_context import status_of

AGAIN_MS, LONGEST_AGAIN_MS = 10.0, 40.0
SHORTEST_TRY_S = 0.02
CONNECT_WITHIN_S = 2.0
HEALTH_WITHIN_S = 2.0
STOP_WITHIN_S = 1.0
IDLE_GRACE_S = 0.5
"""A gateway that drains closes connections without a request after so long: their clients may be about to send one."""
LONGEST_BODY = 2**20  # as `client_max_body_size` of containers/nginx.conf
KEPT_HEADERS = ("Content-Type", FINAL_HEADER)
ABSOLUTE = re.compile(r"https?://[^/?]*", re.IGNORECASE)


class SentAndLost(Exception):
    """A request that was sent and got no response: its outcome is unknown."""


class Gateway:
    """The forwarder. `peers`: the addresses of each service's workers; `limit_s` bounds one request; `statuses` as in `Spec`."""

    def __init__(self, peers: Mapping[str, list[str]], limit_s: float, statuses: str = "exact") -> None:
        self._nothing_happened = status_of(424, statuses)
        self.limit_s = limit_s
        self.draining = False
        self._workers = {service: len(addresses) for service, addresses in peers.items()}
        self._peers = peers
        self._turn = {service: cycle(addresses) for service, addresses in peers.items()}
        self._name = secrets.token_hex(6)
        self._numbers = count()
        self._polls: dict[str, asyncio.Task[None]] = {}
        self._tasks = Background()
        self._session: ClientSession | None = None

    async def start(self) -> None:
        """Open the pool of connections to the services."""
        self._session = ClientSession(
            connector=TCPConnector(limit=most_connections(), keepalive_timeout=60),
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            middlewares=(send_once,),
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )

    async def stop(self) -> None:
        """Close the connections to the services."""
        await self._tasks.stop()
        if self._session is not None:
            await self._session.close()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Return the response to one request, whatever its path: a router would cost time for each."""
        response = await self._answer(request)
        if self.draining:
            response.force_close()
        return response

    # ------------------------------------------------------------ inside

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        try:
            raw = await accepted(request)
        except web.HTTPException as error:
            return _error(error.status, str(error.text))
        except BadId as error:
            return _error(400, str(error))
        if raw.partition("?")[0] == "/health":
            return await self._health()
        service = service_of(raw)
        if service is None:
            return _error(404, f"no such path: {shown(raw)}")
        key = request.headers.get(KEY_HEADER, "")
        if not key and request.method not in ("GET", "HEAD"):
            key = f"{self._name}-{next(self._numbers)}"
        return await self._forward(service, request.method, raw, {KEY_HEADER: key} if key else {})

    async def _forward(self, service: str, method: str, raw: str, headers: Mapping[str, str]) -> web.Response:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.limit_s
        lost: SentAndLost | None = None
        again = Backoff(AGAIN_MS, LONGEST_AGAIN_MS)
        while True:
            try:
                for _ in range(self._workers[service]):
                    address = next(self._turn[service])
                    response = await self._try(address, method, raw, headers, deadline - loop.time())
                    if response is not None and (lost is None or response.headers.get(FINAL_HEADER) != "no"):
                        return response
            except SentAndLost as error:
                lost = error
                await asyncio.sleep(min(again.next_s(), max(deadline - SHORTEST_TRY_S - loop.time(), 0)))
            if not await self._accepts_again(service, deadline - SHORTEST_TRY_S - loop.time()):
                if lost is not None and method not in ("GET", "HEAD"):
                    # It may have happened, and 424 would promise that it did not.
                    return _error(502, f"the {service} service did not answer ({lost}): the outcome is unknown")
                return _error(self._nothing_happened, f"the {service} service accepts no connection: nothing happened")

    async def _accepts_again(self, service: str, within_s: float) -> bool:
        """Return whether a worker accepts connections, now or within that time.

        One poll serves all requests that wait: hundreds that each connect again and again would keep a service from starting.
        """
        poll = self._polls.get(service)
        if poll is None:
            poll = self._polls[service] = self._tasks.run(self._poll(service), f"poll of {service}")
            poll.add_done_callback(lambda _: self._polls.pop(service, None))
        done, _ = await asyncio.wait((poll,), timeout=max(within_s, 0))
        return bool(done)

    async def _poll(self, service: str) -> None:
        backoff = Backoff(AGAIN_MS, LONGEST_AGAIN_MS)
        while True:
            await asyncio.sleep(backoff.next_s())
            for address in self._peers[service]:
                url = URL(address)
                with suppress(OSError, TimeoutError):
                    async with asyncio.timeout(CONNECT_WITHIN_S):
                        _, writer = await asyncio.open_connection(url.host, url.port)
                    writer.close()
                    return

    async def _try(
        self, address: str, method: str, raw: str, headers: Mapping[str, str], left_s: float
    ) -> web.Response | None:
        """Send a request to one worker; return its response, None if it accepted no connection. Raises `SentAndLost`."""
        assert self._session is not None
        url = URL(address + raw, encoded=True)
        left_s = max(left_s, SHORTEST_TRY_S)
        # A request that only waits for a free connection was not sent, so that limit must pass first: after the total one the
        # outcome would count as unknown.
        timeout = ClientTimeout(total=left_s, connect=0.95 * left_s, sock_connect=CONNECT_WITHIN_S)
        try:
            async with self._session.request(
                method, url, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                body = await response.read()
        except (ClientConnectorError, ConnectionTimeoutError):
            return None
        except (ClientError, TimeoutError, OSError) as error:
            raise SentAndLost(str(error) or type(error).__name__) from None
        kept = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        return web.Response(status=response.status, body=body, headers=kept)

    async def _health(self) -> web.Response:
        serves_by_service = await asyncio.gather(*(self._any_serves(addresses) for addresses in self._peers.values()))
        services = dict(zip(self._peers, serves_by_service, strict=True))
        return json_response({"ok": all(serves_by_service), "services": services})

    async def _any_serves(self, addresses: list[str]) -> bool:
        return any(await asyncio.gather(*(self._serves(address) for address in addresses)))

    async def _serves(self, address: str) -> bool:
        assert self._session is not None
        try:
            async with self._session.get(f"{address}/health", timeout=ClientTimeout(HEALTH_WITHIN_S)) as response:
                return response.status == 200
        except (SentAndLost, ClientError, TimeoutError, OSError):
            return False


async def send_once(request: ClientRequest, handler: ClientHandlerType) -> ClientResponse:
    """Turn the loss of a connection into `SentAndLost`: after its own errors aiohttp sends GET, PUT and DELETE again."""
    try:
        return await handler(request)
    except ClientConnectorError:
        raise
    except (ClientOSError, ServerDisconnectedError) as error:
        raise SentAndLost(str(error) or type(error).__name__) from None


async def accepted(request: web.BaseRequest) -> str:
    """Return the raw path of a request, by the rules that the containers' gateway has as well.

    Raises `web.HTTPException` or `BadId` with the reason for a rejection: nothing has happened. No route has a body; a body
    is read all the same, within limits, so that the next request on the connection begins after it.
    """
    if request.method == "TRACE":
        raise web.HTTPMethodNotAllowed(request.method, (), text="TRACE is no method of this shop")
    hosts = request.headers.getall("Host", [])
    if len(hosts) > 1 or (not hosts and request.version >= HttpVersion11):
        raise web.HTTPBadRequest(text=f"a request must name one Host, not {len(hosts)}")
    raw = request.raw_path
    scheme = ABSOLUTE.match(raw)
    if scheme:  # RFC 9112, 3.2.2: every server accepts it
        raw = raw[scheme.end() :] or "/"
    if not raw.startswith("/"):
        raise web.HTTPBadRequest(text=f"a path begins with /, unlike {shown(raw)}")
    check_path(raw)
    if request.can_read_body:
        if (request.content_length or 0) > LONGEST_BODY:
            raise web.HTTPRequestEntityTooLarge(LONGEST_BODY, request.content_length or 0)
        await body_of(request)
    return raw


def _error(status: int, error: str) -> web.Response:
    return json_response({"error": error}, status)


async def serve(gateway: Gateway, address: str, descriptors: Sequence[int] = ()) -> None:
    """Serve at `HOST:PORT` until SIGTERM or SIGINT, then drain. Raises `OSError` if the address is taken.

    `descriptors`: the listening sockets that it shares with other gateways; `address` is its own then.
    """
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await gateway.start()
    # A request is cancelled when its client has left, and with it the one to the service, which then may stop as well.
    server = BoundedServer(gateway.handle, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=STOP_WITHIN_S)
    await runner.setup()
    try:
        shared = [SharedSocket(descriptor, server) for descriptor in descriptors]
        host, _, port = address.rpartition(":")
        await listen(runner, host, int(port), BACKLOG)
        await stopped.wait()
        gateway.draining = True
        for each in shared:
            each.stop()
        await stop_listening(runner)
        await until_idle(server, gateway.limit_s, IDLE_GRACE_S)
    finally:
        await runner.cleanup()
        await gateway.stop()


def main() -> int:
    """Run the gateway of the environment's variables. Return an exit code: 0, or 4 if the address is taken."""
    address = os.environ["WDM_LISTEN"]
    peers = json.loads(os.environ["WDM_PEERS"])
    statuses = os.environ.get("WDM_STATUSES") or "exact"
    gateway = Gateway(peers, int(os.environ["WDM_TIME_LIMIT_MS"]) / 1000, statuses)
    allow_many_files()
    bound_logs()
    try:
        uvloop.run(serve(gateway, address, [int(word) for word in os.environ["WDM_SHARED_SOCKETS"].split()]))
    except OSError as error:
        print(f"error: cannot listen on {address}: {error.strerror}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
