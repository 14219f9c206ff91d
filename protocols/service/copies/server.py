"""A copy of a store: a Valkey server, as an elector sees and changes it.

- *Follower of nobody*: `REPLICAOF` to a port where nobody listens. It keeps the id of the stream, so a later primary continues
  where the last one ended; `REPLICAOF NO ONE` would begin a new stream, to be copied whole.
- *Hold*: a connection of the user `elector`, which has ended every other one of that user. A server executes nothing more of a
  connection that was ended, so of two electors only one is heard.
- *Promise*: a text in the server's configuration, which no stream of a primary overwrites and `CONFIG REWRITE` keeps.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from protocols.copies import ELECTOR, NOBODY
from protocols.copies.elector import Silent, View
from protocols.service.pipelined_client import PipelinedClient
from protocols.service.valkey_connection import LOST, Command, ServerAddress, info_fields
from protocols.store.epochs import BUNDLES, NUMBER, TABLE

ANSWER_WITHIN_S = 0.5
PROMISE = "cluster-announce-human-nodename"
"""A free text without a use outside of Valkey Cluster."""


class ServerCopy:
    """The copy `name` at `address`. `names`: the name of each copy by its (host, port)."""

    def __init__(self, name: str, address: ServerAddress, names: Mapping[tuple[str, int], str]) -> None:
        self.name = name
        self._address = address
        self._names = names
        self._client: PipelinedClient | None = None

    async def look(self) -> View:
        """Raises `Silent`."""
        return _view(await self._execute(_LOOK), self._names)

    async def confirm(self, epoch: int, within_s: float) -> bool:
        """Return whether this is the primary of `epoch`, and a follower has all that it has. Raises `Silent`."""
        number, _, copies = await self._execute(
            [("HGET", TABLE, NUMBER), ("HINCRBY", TABLE, BUNDLES, 1), ("WAIT", 1, round(within_s * 1000))],
            within_s + ANSWER_WITHIN_S,
        )
        return int(number or 0) == epoch and int(copies) >= 1

    async def hold(self) -> "ServerHold":
        """Take the copy from every other elector. Raises `Silent`."""
        client = await _connect(self._address, ELECTOR)
        hold = ServerHold(client, self._names)
        try:
            await _ask(client, [("CLIENT", "KILL", "USER", ELECTOR, "SKIPME", "yes")])
        except Silent:
            hold.release()
            raise
        return hold

    async def _execute(self, commands: Sequence[Command], within_s: float = ANSWER_WITHIN_S) -> list[Any]:
        client = self._client = self._client or await _connect(self._address)
        try:
            return await _ask(client, commands, within_s)
        except Silent:
            self._client = None
            client.close()
            raise


class ServerHold:
    """A connection that no other elector's stands beside."""

    def __init__(self, client: PipelinedClient, names: Mapping[tuple[str, int], str]) -> None:
        self._client = client
        self._names = names

    async def look(self) -> View:
        return _view(await _ask(self._client, _LOOK), self._names)

    async def promise(self, ballot: int) -> None:
        await _ask(self._client, [("CONFIG", "SET", PROMISE, f"ballot-{ballot}"), ("CONFIG", "REWRITE")])

    async def detach(self) -> None:
        await _ask(self._client, [("REPLICAOF", *NOBODY)])

    async def promote(self, epoch: int) -> None:
        await _ask(self._client, [("REPLICAOF", "NO", "ONE"), ("HSET", TABLE, NUMBER, epoch)])

    async def follow(self, primary: str) -> None:
        host, port = next(address for address, name in self._names.items() if name == primary)
        await _ask(self._client, [("REPLICAOF", host, port)])

    def release(self) -> None:
        self._client.close()


_LOOK: Sequence[Command] = (
    ("INFO", "replication"),
    ("HMGET", TABLE, NUMBER, BUNDLES),
    ("CONFIG", "GET", PROMISE),
)


def _view(replies: list[Any], names: Mapping[tuple[str, int], str]) -> View:
    info, (number, bundles), (_, promise) = replies
    facts = info_fields(info)
    follows = facts.get("master_host", ""), int(facts.get("master_port", 0))
    return View(
        promised=int(promise.rpartition(b"-")[2] or 0),
        epoch=int(number or 0),
        bundles=int(bundles or 0),
        primary=facts["role"] == "master",
        follows=names.get(follows, ""),
        offset=int(facts["master_repl_offset"]),
    )


async def _connect(address: ServerAddress, username: str = "") -> PipelinedClient:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await PipelinedClient.open(
                ServerAddress(address.host, address.port, username, address.password, tls=address.tls)
            )
    except LOST as error:
        raise Silent(str(error) or "no connection in time") from None


async def _ask(client: PipelinedClient, commands: Sequence[Command], within_s: float = ANSWER_WITHIN_S) -> list[Any]:
    try:
        async with asyncio.timeout(within_s):
            return await client.execute(commands)
    except LOST as error:
        raise Silent(str(error) or "no answer in time") from None
