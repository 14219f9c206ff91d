"""The end of a server in the regular way: no connection that it has accepted loses its request."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from harness.runtimes.deployment.ports import Ports
from protocols.service.http import BoundedServer, listen, stop_listening, until_idle
from protocols.service.shared_socket import SharedSocket, open_sockets

REQUEST = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
WITHIN_S = 5.0


class Serving:
    """A server whose answers take `answer_after_s`; `draining` as in the gateway."""

    def __init__(self) -> None:
        self.answer_after_s = 0.0
        self.draining = False
        self.server = BoundedServer(self._answer)
        self.runner = web.ServerRunner(self.server, shutdown_timeout=0.1)
        self.port = 0

    async def _answer(self, _: web.BaseRequest) -> web.Response:
        await asyncio.sleep(self.answer_after_s)
        response = web.Response(text="answered")
        if self.draining:
            response.force_close()
        return response


@asynccontextmanager
async def serving() -> AsyncIterator[Serving]:
    one = Serving()
    await one.runner.setup()
    try:
        one.port = await listen(one.runner, "127.0.0.1", 0)
        yield one
    finally:
        await one.runner.cleanup()


async def answered(connection: socket.socket) -> bytes:
    """Return what arrives on a connection until a whole answer is there, or the end of the connection."""
    loop, received = asyncio.get_running_loop(), b""
    async with asyncio.timeout(WITHIN_S):
        while not received.endswith(b"answered"):
            data = await loop.sock_recv(connection, 4_096)
            if not data:
                break
            received += data
    return received


def connected(port: int) -> socket.socket:
    """Return a connection that the kernel has accepted: the server has not, as its event loop stands still meanwhile."""
    connection = socket.create_connection(("127.0.0.1", port), WITHIN_S)
    connection.setblocking(False)
    return connection


async def test_connections_in_the_queue_are_served() -> None:
    async with serving() as one:
        waiting = [connected(one.port) for _ in range(20)]
        await stop_listening(one.runner)
        await _all_answered(waiting)
        for connection in waiting:
            connection.close()


async def test_a_process_that_stops_accepting_leaves_the_queue_of_a_shared_socket_to_the_others() -> None:
    ports = Ports()
    port = ports.take()
    opened = open_sockets(port, 100)
    ports.close()
    async with serving() as one, serving() as other:
        shares = [[SharedSocket(os.dup(each.fileno()), by.server) for each in opened] for by in (one, other)]
        try:
            waiting = [connected(port) for _ in range(20)]
            for share in shares[0]:
                share.stop()  # the kernel has accepted them all, and no process has
            await _all_answered(waiting)
            assert len(other.server.connections) == 20
            for share in shares[1]:
                share.stop()
            waiting.append(connected(port))  # nobody accepts it, and nobody refuses it
            shares.append([SharedSocket(os.dup(each.fileno()), one.server) for each in opened])
            await _all_answered(waiting[-1:])
            for connection in waiting:
                connection.close()
        finally:
            for share in shares[-1]:
                share.stop()
            for each in opened:
                each.close()


async def test_processes_that_share_a_socket_share_the_connections() -> None:
    ports = Ports()
    port = ports.take()
    opened = open_sockets(port, 100)
    ports.close()
    async with serving() as one, serving() as other:
        shares = [SharedSocket(os.dup(each.fileno()), by.server) for by in (one, other) for each in opened]
        waiting = [connected(port) for _ in range(20)]
        await _all_answered(waiting)
        assert min(len(by.server.connections) for by in (one, other)) >= 5
        for connection in waiting:
            connection.close()
        for share in shares:
            share.stop()
        for each in opened:
            each.close()


async def _all_answered(connections: Sequence[socket.socket]) -> None:
    for connection in connections:
        connection.send(REQUEST)
    answers = await asyncio.gather(*map(answered, connections))
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


async def test_a_connection_learns_from_its_next_answer_to_leave() -> None:
    async with serving() as one:
        with connected(one.port) as connection:
            connection.send(REQUEST)
            assert b"Connection: close" not in await answered(connection)
            one.draining = True
            await stop_listening(one.runner)
            idle = asyncio.ensure_future(until_idle(one.server, WITHIN_S, grace_s=WITHIN_S))
            await asyncio.sleep(0.05)
            connection.send(REQUEST)
            assert b"Connection: close" in await answered(connection)
            await idle
            assert one.server.connections == []


async def test_only_connections_without_a_request_are_closed() -> None:
    async with serving() as one:
        one.answer_after_s = 0.3
        with connected(one.port) as busy, connected(one.port) as unread, connected(one.port) as idle:
            busy.send(REQUEST)
            while len(one.server.connections) < 3 or not one.server.requests_count:
                await asyncio.sleep(0.001)
            await stop_listening(one.runner)
            unread.send(REQUEST)  # the kernel has it, and the event loop has had no turn to read it
            for connection in one.server.connections:
                connection.close_if_idle()  # type: ignore[attr-defined]
            assert await answered(idle) == b""
            answers = await asyncio.gather(answered(busy), answered(unread))
            assert all(answer.endswith(b"answered") for answer in answers)


async def test_it_ends_at_its_limit_with_a_request_under_way() -> None:
    async with serving() as one:
        one.answer_after_s = 60.0
        with connected(one.port) as busy:
            busy.send(REQUEST)
            while not one.server.requests_count:
                await asyncio.sleep(0.001)
            await stop_listening(one.runner)
            await until_idle(one.server, 0.2, grace_s=0.0)
            assert len(one.server.connections) == 1
