"""A service's connection to its simulated store with copies, by the rules of `protocols.service.copies.client.CopiedStore`."""

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from harness.runtimes.sim.calls import RemoteCalls
from harness.runtimes.sim.copy_server import CopyServer, ServerSession
from harness.runtimes.sim.network import SimulatedNetwork
from harness.runtimes.sim.store import RECONNECT_S, SimStore
from harness.runtimes.sim.world import World
from protocols.copies.bundles import Bundles, Unconfirmed
from protocols.copies.elector import View
from protocols.core import Command, Config
from protocols.ports import Clock, StoreFault
from protocols.service.store_queue import Entry
from protocols.store.tables import Result

CONFIRM_WITHIN_S = 0.5
MOST_IN_BUNDLE = 16


class SimCopiedStore(SimStore):
    """The `StoreQueue` of one life of the process `name`, on the copies `servers`. Each command is a packet of its own."""

    answer_within_s = 1.0
    _server: CopyServer

    def __init__(
        self,
        world: World,
        network: SimulatedNetwork,
        name: str,
        servers: Sequence[CopyServer],
        enter: Callable[[Callable[[], None]], None],
        clock: Clock,
        limit_ms: int,
        rng: Random,
        config: Config,
    ) -> None:
        self._servers = servers
        self._calls = RemoteCalls(network, name, enter, clock)
        self._listeners = [(server, (name, server.name), partial(self._ended, server)) for server in servers]
        self._bundles = Bundles(config.enabled)
        self._epoch = 0
        self._session = ServerSession()
        self._looking = False
        self._sends = False
        super().__init__(world, network, (name, servers[0].name), servers[0], enter, clock, limit_ms, rng)

    # ------------------------------------------------------------ the connection

    def _listen(self) -> None:
        for server, link_id, ended in self._listeners:
            self._network.connections(link_id).append(ended)
            server.connections.append(ended)

    def _stop_listening(self) -> None:
        for server, link_id, ended in self._listeners:
            self._network.connections(link_id).remove(ended)
            server.connections.remove(ended)

    def _ended(self, server: CopyServer) -> None:
        """Lose the connection if it is one to this server, by a reset or by the end of the server."""
        if server is self._server:
            self._disconnected(server_gone=server.state == "down")

    def _connect(self) -> None:
        """Look at all copies; then connect to the primary of the largest epoch, or look again."""
        if self._over or self._pipes or self._looking:
            return
        self._looking = True
        views: dict[str, View | None] = {}

        def looked_at(server: CopyServer, view: View | None) -> None:
            views[server.name] = view
            if len(views) == len(self._servers):
                self._looking = False
                self._choose(views)

        for server in self._servers:
            self._calls.call(server, partial(_look, server), partial(looked_at, server))

    def _choose(self, views: dict[str, View | None]) -> None:
        primaries = [
            (view.epoch, server)
            for server in self._servers
            if (view := views[server.name]) is not None and view.primary and view.epoch
        ]
        if not primaries:
            self._soon_again()
            return
        self._epoch, self._server = max(primaries, key=lambda primary: primary[0])
        self._link_id = (self._link_id[0], self._server.name)
        if self._server.accepts:
            self._network.when_whole(self._link_id, lambda: self._enter_life(self._connects))
        else:
            self._world.later(RECONNECT_S, lambda: self._enter_life(self._connect))

    def _connects(self) -> None:
        if not self._over and not self._pipes:
            self._bundles.clear()
            self._session = ServerSession()
        super()._connects()

    def _hang_up(self, *, server_gone: bool) -> None:
        self._session.closed = True
        super()._hang_up(server_gone=server_gone)

    # ------------------------------------------------------------ bundles

    def _wake(self) -> None:
        if self._pipes and not self._over and self._waiting and not self._sends:
            self._sends = True
            self._world.loop.call_soon(lambda: self._enter_life(self._send))

    def _send(self) -> None:
        self._sends = False
        waiting = [entry for entry in self._waiting if not entry.cancelled]
        self._waiting.clear()
        for at in range(0, len(waiting), MOST_IN_BUNDLE):
            bundle = waiting[at : at + MOST_IN_BUNDLE]
            if not self._pipes:  # a packet has reset it
                self._waiting.extend(bundle)
                continue
            self._send_bundle(bundle)

    def _send_bundle(self, bundle: list[Entry]) -> None:
        now_ms = self._clock.now_us() // 1000
        for entry in bundle:
            entry.sent = True
        self._sent.extend(bundle)
        ends = self._bundles.begin(len(bundle), self._epoch)
        commands = [(entry.command, entry.now_ms) for entry in bundle] + [(end, now_ms) for end in ends]
        connection, session, server = self._connection, self._session, self._server
        for command, at_ms in commands:
            if not self._packet(connection, partial(self._execute_one, connection, session, server, command, at_ms)):
                return
        self._packet(
            connection,
            lambda: server.wait(session, CONFIRM_WITHIN_S, lambda count: self._reply(connection, count, 0.0)),
        )

    def _packet(self, connection: int, do: Callable[[], None]) -> bool:
        """Send one packet of the connection; return whether the connection is still there."""
        if self._connection != connection or not self._pipes:
            return False
        session, server, life = self._session, self._server, self._server.life
        if not self._pipes[0].send(lambda: server.enter(life, lambda: server.arrive(session, do))):
            self._broken()
            return False
        self._watch()
        return True

    def _execute_one(
        self, connection: int, session: ServerSession, server: CopyServer, command: Command, now_ms: int
    ) -> None:
        result: Result | StoreFault | None
        try:
            result = server.execute(command, now_ms, session)
        except StoreFault as fault:
            result = fault
        self._reply(connection, result, server.answer_takes_s)

    def _reply(self, connection: int, reply: Any, after_s: float) -> None:
        if not self._pipes or connection != self._connection:
            return
        if not self._pipes[1].send(lambda: self._enter_life(lambda: self._on_reply(connection, reply)), after_s):
            self._broken()

    def _on_reply(self, connection: int, reply: Any) -> None:
        """Keep a reply until its bundle is confirmed; one that is not ends the connection, and all of it is unknown."""
        if connection != self._connection or self._over:
            return
        self._answered += 1
        try:
            replies = self._bundles.take(reply, lambda end: isinstance(end, tuple) and end[0] == "ok")
        except Unconfirmed:
            self._broken()
            return
        for one in replies:
            if connection != self._connection:
                return
            if one is None:  # refused, and not executed
                self._sent[0].sent = False
                self._broken()
                return
            entry = self._sent.popleft()
            if isinstance(one, StoreFault):
                entry.lost(one)
            else:
                entry.then(one)


def _look(server: CopyServer, result: Callable[[View | None], None]) -> None:
    result(server.view())
