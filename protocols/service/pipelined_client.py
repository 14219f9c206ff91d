"""A client of a Valkey server for any commands: groups of commands in, a future of their replies out."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

import hiredis

from protocols.service.valkey_connection import Command, ServerAddress, ServerError, ValkeyConnection


class PipelinedClient:
    """Groups of commands over one connection, made by `open`. After a failure every future raises it, one of `LOST`."""

    def __init__(self) -> None:
        self._owed: deque[_Group] = deque()
        self._connection: ValkeyConnection
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()

    @classmethod
    async def open(cls, address: ServerAddress) -> "PipelinedClient":
        """Connect. Raises one of `LOST`."""
        client = cls()
        client._connection = await ValkeyConnection.open(address, client._on_reply, client._on_lost)
        return client

    def execute(self, commands: Sequence[Command]) -> asyncio.Future[list[Any]]:
        """Send the commands in one write; return a future of their replies.

        The future raises `ServerError` if the server answered any of them with an error; the others have been executed.
        """
        group = _Group(len(commands))
        if self._failure is not None:
            group.fail(self._failure)
        else:
            self._owed.append(group)
            self._connection.write(b"".join([hiredis.pack_command(command) for command in commands]), len(commands))
        return group.replied

    async def until_lost(self) -> None:
        """Wait for the end of the connection, and raise its error."""
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    def fail(self, error: BaseException) -> None:
        """End the connection with `error`, as if it had been lost."""
        self._connection.fail(error)

    def close(self) -> None:
        self._on_lost(ConnectionResetError("the connection is closed"))
        self._connection.close()

    def _on_reply(self, reply: Any) -> None:
        group = self._owed[0]
        group.replies.append(reply)
        if len(group.replies) == group.count:
            self._owed.popleft().settle()

    def _on_lost(self, error: BaseException) -> None:
        self._failure = error
        self._failed.set()
        for group in self._owed:
            group.fail(error)


class _Group:
    """The replies to commands that were sent together."""

    __slots__ = ("count", "replied", "replies")

    def __init__(self, count: int) -> None:
        self.replies: list[Any] = []
        self.count = count
        self.replied: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def settle(self) -> None:
        refused = next((reply for reply in self.replies if isinstance(reply, ServerError)), None)
        if refused is not None:
            self.fail(refused)
        elif not self.replied.done():
            self.replied.set_result(self.replies)

    def fail(self, error: BaseException) -> None:
        if not self.replied.done():
            self.replied.set_exception(error)
            self.replied.exception()  # marked as seen: the caller need not be interested
