"""A service's connection to its simulated store: in order, with answers, until it breaks."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from harness.runtimes.base import Wire
from harness.runtimes.sim.network import Network
from harness.runtimes.sim.server import Server
from harness.runtimes.sim.world import World
from protocols.ports import Clock, Result
from protocols.service.store_queue import Entry, StoreQueue

RECONNECT_S = 0.02
ANSWER_WITHIN_S = 3.0
BEHIND_S = 1e-6  # timers of the same moment fire in any order


@dataclass(eq=False, slots=True)
class _Flight:
    """A command on its way to the server; one that is ``dropped`` never arrives."""

    entry: Entry
    dropped: bool = False


class SimStore(StoreQueue):
    """``enter`` lets things happen to the life that this belongs to, as long as it lasts."""

    def __init__(
        self,
        world: World,
        network: Network,
        wire: Wire,
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
        self._connected = False
        self._over = False
        self._flights: deque[_Flight] = deque()
        self._arrives_s = self._answers_s = 0.0  # nothing overtakes on a connection
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
        self._drop_flights(self._rng.randint(0, len(self._flights)))

    def _wake(self) -> None:
        while self._connected and not self._over and self._waiting:
            entry = self._waiting.popleft()
            if not entry.cancelled:
                self._transmit(entry)

    # ------------------------------------------------------------ the connection

    def _connect(self) -> None:
        if self._over or self._connected:
            return
        if self._server.state != "running":
            self._server.when_changed(lambda: self._world.later(RECONNECT_S, self._connect))
        else:
            self._network.when_whole(self._wire, self._connects)

    def _connects(self) -> None:
        if self._over or self._connected:
            return
        if self._server.state != "running":
            self._connect()
            return
        self._connected = True
        self._connection += 1
        self._arrives_s = self._answers_s = self._world.loop.time()
        self._wake()

    def _broken(self) -> None:
        """Both ends see a reset."""
        if self._connected:
            self._disconnected(self._rng.randint(0, len(self._flights)))

    def _server_gone(self) -> None:
        if self._connected:
            self._disconnected(0)

    def _disconnected(self, arrive: int) -> None:
        self._connected = False
        self._connection += 1
        self._drop_flights(arrive)
        self._enter_life(self._take_back)
        self._world.later(RECONNECT_S, self._connect)

    def _drop_flights(self, but: int) -> None:
        """What was written arrives in order or not at all."""
        for number, flight in enumerate(self._flights):
            flight.dropped = number >= but
        self._flights.clear()

    # ------------------------------------------------------------ there and back

    def _transmit(self, entry: Entry) -> None:
        entry.sent = True
        self._sent.append(entry)
        takes_s = self._network.through_s(self._wire)
        if takes_s is None:
            self._broken()
            return
        now_s = self._world.loop.time()
        self._arrives_s = max(self._arrives_s + BEHIND_S, now_s + takes_s)
        flight = _Flight(entry)
        self._flights.append(flight)
        connection, server_life = self._connection, self._server.life
        self._world.later(self._arrives_s - now_s, lambda: self._arrived(connection, server_life, flight))
        self._watch()

    def _arrived(self, connection: int, server_life: int, flight: _Flight) -> None:
        def there() -> None:
            if not flight.dropped:
                if self._flights and self._flights[0] is flight:  # else the connection has broken behind it
                    self._flights.popleft()
                self._server.enter(server_life, lambda: self._execute(connection, flight.entry))

        self._network.when_whole(self._wire, there)

    def _execute(self, connection: int, entry: Entry) -> None:
        result = self._server.execute(entry.command, entry.now_ms)
        if connection != self._connection:
            return
        takes_s = self._network.through_s(self._wire)
        if takes_s is None:
            self._broken()
            return
        now_s = self._world.loop.time()
        self._answers_s = max(self._answers_s + BEHIND_S, now_s + self._server.answer_takes_s + takes_s)
        self._world.later(self._answers_s - now_s, lambda: self._answers(connection, entry, result))

    def _answers(self, connection: int, entry: Entry, result: Result) -> None:
        def answered() -> None:
            self._enter_life(lambda: self._hear(connection, entry, result))

        self._network.when_whole(self._wire, answered)

    def _hear(self, connection: int, entry: Entry, result: Result) -> None:
        if connection != self._connection or self._over:
            return
        self._answered += 1
        heard = self._sent.popleft()
        assert heard is entry, "a connection keeps its order"
        entry.then(result)

    def _watch(self) -> None:
        """A server that keeps the connection but does not answer is as good as gone."""
        if not self._watching:
            self._watching = True
            answered = self._answered
            self._world.later(ANSWER_WITHIN_S, lambda: self._look(answered))

    def _look(self, answered: int) -> None:
        self._watching = False
        if self._sent and self._connected and not self._over:
            if answered == self._answered:
                self._broken()
            else:
                self._watch()
