"""Clients of a store with copies: each sends bundles over one connection, and uses their results by the shipped rules.

A bundle is its command, which writes or reads, then the write that ends it, then WAIT (`protocols.copies.bundles`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from harness.explore.copies.servers import NOBODY, Servers, append, confirmed
from protocols.copies.bundles import Bundles, Unconfirmed

IDLE, EXECUTED, ENDED = "idle", "executed", "ended"


class Client(NamedTuple):
    """``bundles`` are those that it has not begun: "w" or "r" each. ``acknowledged_before``: of all clients, at the begin.

    ``offset``: the end of the connection's last write. ``read``: the bundles whose writes its command has read.
    ``in_epoch``: the reply to the end of the bundle.
    """

    name: str
    bundles: str
    server: int = NOBODY
    epoch: int = 0
    stage: str = IDLE
    offset: int = 0
    acknowledged_before: frozenset[str] = frozenset()
    read: frozenset[str] = frozenset()
    in_epoch: bool = True

    @property
    def bundle(self) -> str:
        """Return the name of the bundle under way, or of the next one."""
        return f"{self.name}{len(self.bundles)}"

    def disconnected(self) -> "Client":
        """Return it without its connection. The bundle under way is unknown, and not sent again."""
        rest = self.bundles if self.stage == IDLE else self.bundles[1:]
        return Client(self.name, rest)


class ClientStep(NamedTuple):
    """The servers and the client after a step. ``acknowledged``: the bundle that was confirmed."""

    servers: Servers
    client: Client
    what: str
    acknowledged: str = ""


def connect(servers: Servers, client: Client, at: int) -> ClientStep | None:
    """Connect to a primary, perhaps to one that was replaced: the client has not seen every copy."""
    server = servers[at]
    if client.server != NOBODY or not client.bundles or not (server.up and server.primary and server.epoch):
        return None
    return ClientStep(
        servers,
        client._replace(server=at, epoch=server.epoch),
        f"connects to {at}, the primary of epoch {server.epoch}",
    )


def step(
    servers: Servers, client: Client, acknowledged: frozenset[str], enabled: Callable[[str], bool]
) -> ClientStep | None:
    """Execute the next command of a client's connection, None if it has none."""
    if client.server == NOBODY or not client.bundles:
        return None
    server = servers[client.server]
    if not server.up or not server.primary:
        return ClientStep(servers, client.disconnected(), "loses its connection, or meets no primary")
    if client.stage == IDLE:
        return _execute(servers, client._replace(acknowledged_before=acknowledged))
    if client.stage == EXECUTED and enabled("write-with-reads"):
        return _end(servers, client, enabled)
    if not confirmed(servers, client.server, client.offset) and enabled("confirm"):
        return None  # WAIT goes on; its time-out is the loss of the connection
    return _use(servers, client, enabled)


def _execute(servers: Servers, client: Client) -> ClientStep:
    at = client.server
    if client.bundles[0] == "r":
        read = servers[at].written
        return ClientStep(servers, client._replace(stage=EXECUTED, read=read), f"{client.bundle} reads at {at}")
    servers = append(servers, at, ("write", client.bundle))
    client = client._replace(stage=EXECUTED, offset=len(servers[at].log))
    return ClientStep(servers, client, f"{client.bundle} writes at {at}")


def _end(servers: Servers, client: Client, enabled: Callable[[str], bool]) -> ClientStep:
    """Execute the write that ends a bundle, as `protocols.store.epochs.bundle_end`."""
    at = client.server
    if servers[at].epoch != client.epoch and enabled("refuse-other-epoch"):
        return ClientStep(
            servers, client._replace(stage=ENDED, in_epoch=False), f"{client.bundle} ends in another epoch"
        )
    servers = append(servers, at, ("end", client.bundle))
    client = client._replace(stage=ENDED, offset=len(servers[at].log))
    return ClientStep(servers, client, f"{client.bundle} ends at {at}")


def _use(servers: Servers, client: Client, enabled: Callable[[str], bool]) -> ClientStep:
    """Use the results of the bundle, or lose the connection: the shipped `Bundles` decides."""
    rule = Bundles(enabled)
    ends = rule.begin(1, client.epoch)
    replies: list[Any] = ["reply", *((client.in_epoch,) for _ in ends)]
    count = int(confirmed(servers, client.server, client.offset))
    try:
        for reply in (*replies, count):
            rule.take(reply, lambda end: bool(end[0]))
    except Unconfirmed:
        return ClientStep(servers, client.disconnected(), f"{client.bundle} is not confirmed")
    kept = Client(client.name, client.bundles[1:], client.server, client.epoch, offset=client.offset)
    return ClientStep(servers, kept, f"{client.bundle} is confirmed at {client.server}", client.bundle)
