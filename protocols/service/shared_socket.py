"""A listening socket that several processes share: the end of one of them resets no connection.

Were each to listen on a socket of its own (SO_REUSEPORT), the kernel would have chosen the process of a connection before its
handshake is over, and would reset the connection if that process stopped listening meanwhile. Here a process that ends only
stops to accept; the queue is that of all.
"""

import asyncio
import socket
from contextlib import suppress

from protocols.service.http import LOOPBACK, LOOPBACK_6, BoundedServer
from protocols.service.tasks import Background

PAUSE_S = 0.1
"""The pause after a connection could not be accepted for lack of a file."""


def open_sockets(port: int, backlog: int) -> tuple[socket.socket, ...]:
    """Listen on a port of 127.0.0.1, and of ::1 where that is free. Raises `OSError`.

    A connection waits in the queue while no process accepts it: it is not refused.
    """
    opened = [_listening(socket.AF_INET, LOOPBACK, port, backlog)]
    with suppress(OSError):  # as `listen` does
        opened.append(_listening(socket.AF_INET6, LOOPBACK_6, port, backlog))
    return tuple(opened)


def _listening(family: socket.AddressFamily, host: str, port: int, backlog: int) -> socket.socket:
    opened = socket.socket(family)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(backlog)
        opened.setblocking(False)
    except OSError:
        opened.close()
        raise
    return opened


class SharedSocket:
    """This process's part of a listening socket, by its inherited descriptor: connections go to `server`.

    It accepts one connection in each turn of the event loop, so that a process with less to do accepts more of them.
    """

    def __init__(self, descriptor: int, server: BoundedServer) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._tasks = Background()
        self._again: asyncio.TimerHandle | None = None
        self._accept_more()

    def stop(self) -> None:
        """Accept no further connection. Those in the queue stay there for the other processes."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _accept_more(self) -> None:
        self._again = None
        self._loop.add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except (BlockingIOError, ConnectionAbortedError):  # another process has it, or its client has left
            return
        except OSError:  # no file is free for it; it stays in the queue
            self._loop.remove_reader(self._socket)
            self._again = self._loop.call_later(PAUSE_S, self._accept_more)
            return
        connection.setblocking(False)
        self._tasks.run(self._serve(connection), "a new connection")

    async def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError):  # its client has left
            await self._loop.connect_accepted_socket(self._server, connection)
