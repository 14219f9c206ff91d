"""The discovery of a store's primary: from the copies themselves, from Sentinels, or from the nodes of a Valkey Cluster.

Each is a function that returns (epoch, address) of the primary, called before each connection, and so after each loss of one:
a former primary ends the connection itself, since it confirms no bundle. The epoch is 0 where no elector counts epochs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from protocols.copies.elector import Silent, View
from protocols.copies.managed import ManagedStore, cluster_primary, sentinels_primary
from protocols.service.copies.server import ServerCopy
from protocols.service.pipelined_client import PipelinedClient
from protocols.service.valkey_connection import LOST, Command, ServerAddress, ServerError

ANSWER_WITHIN_S = 0.5

FindPrimary = Callable[[], Awaitable[tuple[int, ServerAddress]]]
"""A function without arguments that finds the primary now. Raises one of `LOST` if there is none."""


def by_elector(addresses: Sequence[ServerAddress]) -> FindPrimary:
    """Find the primary of the largest epoch; one that was replaced, and does not know it yet, confirms nothing."""
    names = {(address.host, address.port): str(number) for number, address in enumerate(addresses)}
    copies = {address: ServerCopy(names[address.host, address.port], address, names) for address in addresses}

    async def find() -> tuple[int, ServerAddress]:
        views = await asyncio.gather(*map(_looked_at, copies.values()))
        primaries = [
            (view.epoch, address)
            for address, view in zip(copies, views, strict=True)
            if view is not None and view.primary and view.epoch
        ]
        if not primaries:
            raise ServerError("no copy of the store is its primary")
        return max(primaries, key=lambda primary: primary[0])

    return find


def by_manager(managed: ManagedStore, addresses: Sequence[ServerAddress]) -> FindPrimary:
    """Find the primary that Sentinels or cluster nodes name, among the servers at `addresses`."""
    reached = dict(zip(managed.servers, addresses, strict=True))
    asked = list(map(ServerAddress.parse, managed.sentinels)) or list(addresses)
    command: Command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", managed.name)
    if managed.kind == "cluster":
        command = ("CLUSTER", "NODES")

    async def find() -> tuple[int, ServerAddress]:
        answers = await asyncio.gather(*(_answer(address, command) for address in asked))
        known = sentinels_primary(answers) if managed.kind == "sentinel" else cluster_primary(answers, reached)
        if known not in reached:
            raise ServerError(f"{'no Sentinel' if managed.kind == 'sentinel' else 'no cluster node'} names a primary")
        return 0, reached[known]

    return find


async def _answer(address: ServerAddress, command: Command) -> Any:
    """Return the answer of one node, over a connection of its own; None without one in time."""
    client: PipelinedClient | None = None
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            client = await PipelinedClient.open(address)
            return (await client.execute([command]))[0]
    except LOST:
        return None
    finally:
        if client is not None:
            client.close()


async def _looked_at(copy: ServerCopy) -> View | None:
    try:
        return await copy.look()
    except Silent:
        return None
