"""A service's connection to its simulated store: in order, with answers, until it breaks."""

from collections.abc import Callable
from random import Random

from harness.runtimes.base import LinkId
from harness.runtimes.sim.network import Pipe, SimulatedNetwork
from harness.runtimes.sim.server import Server
from harness.runtimes.sim.world import World
from protocols.ports import Clock, StoreFault
from protocols.service.store_queue import Entry, StoreQueue
from protocols.store.tables import Result

RECONNECT_S = 0.02
ANSWER_WITHIN_S = 3.0


class SimStore(StoreQueue):
    """`enter` lets things happen to the life that this belongs to, as long as it lasts."""

    def __init__(
        self,
        world: World,
        network: SimulatedNetwork,
        wire: LinkId,
        server: Server,
        enter: Callable[[Callable[[], None]], None],
        clock: Clock,
        limit_ms: int,
        rng: Random,
    ) -> None:
        super().__init__(clock, limit_ms)
        self._world = world
        self._network = network
        self._wire = wire
        self._server = server
        self._enter_life = enter
        self._rng = rng
        self._connection = 0  # its number; another one, and what belongs to the former is nobody's
        self._pipes: tuple[Pipe, Pipe] | None = None  # there and back, while connected
        self._over = False
        self._answered = 0
        self._watching = False
        network.connections(wire).append(self._broken)
        server.connections.append(self._server_gone)
        self._connect()

    def abandon(self) -> None:
        """The process is dead. What it has written so far may still arrive."""
        self._over = True
        self._network.connections(self._wire).remove(self._broken)
        self._server.connections.remove(self._server_gone)
        self._hang_up(server_gone=False)

    def _wake(self) -> None:
        while self._pipes and not self._over and self._waiting:
            entry = self._waiting.popleft()
            if not entry.cancelled:
                self._transmit(entry)

    # ------------------------------------------------------------ the connection

    def _connect(self) -> None:
        if self._over or self._pipes:
            return
        if not self._server.accepts:
            self._server.when_changed(self._soon_again)
        else:
            self._network.when_whole(self._wire, lambda: self._enter_life(self._connects))

    def _connects(self) -> None:
        if self._over or self._pipes:
            return
        if not self._server.accepts:
            self._connect()
            return
        self._connection += 1
        self._pipes = Pipe(self._network, self._wire), Pipe(self._network, self._wire)
        self._wake()

    def _broken(self) -> None:
        """Both ends see a reset."""
        self._disconnected(server_gone=False)

    def _server_gone(self) -> None:
        self._disconnected(server_gone=True)

    def _disconnected(self, *, server_gone: bool) -> None:
        if self._pipes:
            self._hang_up(server_gone=server_gone)
            self._enter_life(self._lost)

    def _lost(self) -> None:
        self._requeue()
        self._soon_again()

    def _soon_again(self) -> None:
        self._world.later(RECONNECT_S, lambda: self._enter_life(self._connect))

    def _hang_up(self, *, server_gone: bool) -> None:
        """What was written arrives in order or not at all, and nobody hears what comes of it."""
        self._connection += 1
        if self._pipes:
            there, back = self._pipes
            self._pipes = None
            there.close(0 if server_gone else self._rng.randint(0, len(there)))
            back.close()

    # ------------------------------------------------------------ there and back

    def _transmit(self, entry: Entry) -> None:
        assert self._pipes
        entry.sent = True
        self._sent.append(entry)
        connection, life = self._connection, self._server.life
        if self._pipes[0].send(lambda: self._server.enter(life, lambda: self._execute(connection, entry))):
            self._watch()
        else:
            self._broken()

    def _execute(self, connection: int, entry: Entry) -> None:
        result: Result | StoreFault | None
        try:
            result = self._server.execute(entry.command, entry.now_ms)
        except StoreFault as fault:
            result = fault
        if self._pipes and connection == self._connection:

            def answered() -> None:
                self._enter_life(lambda: self._hear(connection, entry, result))

            if not self._pipes[1].send(answered, self._server.answer_takes_s):
                self._broken()

    def _hear(self, connection: int, entry: Entry, result: Result | StoreFault | None) -> None:
        """What is rejected was not executed: the client connects again, which a store that rejects does not accept."""
        if connection != self._connection or self._over:
            return
        if result is None:
            entry.sent = False
            self._broken()
            return
        self._answered += 1
        heard = self._sent.popleft()
        assert heard is entry, "a connection keeps its order"
        if isinstance(result, StoreFault):
            entry.lost(result)
        else:
            entry.then(result)

    def _watch(self) -> None:
        """A server that keeps the connection but does not answer is as good as gone."""
        if not self._watching:
            self._watching = True
            answered = self._answered
            self._world.later(ANSWER_WITHIN_S, lambda: self._look(answered))

    def _look(self, answered: int) -> None:
        self._watching = False
        if self._sent and self._pipes and not self._over:
            if answered == self._answered:
                self._broken()
            else:
                self._watch()
