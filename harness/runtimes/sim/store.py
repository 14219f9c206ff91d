"""A service's connection to its simulated store: commands and results in order, until the connection breaks."""

from collections.abc import Callable
from random import Random

from harness.runtimes.base import LinkId
from harness.runtimes.sim.network import Pipe, SimulatedNetwork
from harness.runtimes.sim.server import Server
from harness.runtimes.sim.world import World
from protocols.core import Command
from protocols.ports import Clock, StoreFault
from protocols.service.store_queue import Entry, StoreQueue
from protocols.store.tables import Result

RECONNECT_S = 0.02


class SimStore(StoreQueue):
    """The `StoreQueue` of one life of a process. `enter` has an event happen to that life, as long as it lasts."""

    answer_within_s = 3.0

    def __init__(
        self,
        world: World,
        network: SimulatedNetwork,
        link_id: LinkId,
        server: Server,
        enter: Callable[[Callable[[], None]], None],
        clock: Clock,
        limit_ms: int,
        rng: Random,
        *,
        generations: bool = False,
    ) -> None:
        super().__init__(clock, limit_ms)
        self._generations = generations
        self._world = world
        self._network = network
        self._link_id = link_id
        self._server = server
        self._enter_life = enter
        self._rng = rng
        self._connection = 0  # the present connection's number: results of a former one are dropped
        self._pipes: tuple[Pipe, Pipe] | None = None  # of the commands and of the results, while connected
        self._over = False
        self._answered = 0
        self._watching = False
        self._listen()
        self._connect()

    def abandon(self) -> None:
        """End the connection with its process. The commands under way may still arrive."""
        self._over = True
        self._stop_listening()
        self._hang_up(server_gone=False)

    def _wake(self) -> None:
        while self._pipes and not self._over and self._waiting:
            entry = self._waiting.popleft()
            if not entry.cancelled:
                self._transmit(entry)

    # ------------------------------------------------------------ the connection

    def _listen(self) -> None:
        self._network.connections(self._link_id).append(self._broken)
        self._server.connections.append(self._server_gone)

    def _stop_listening(self) -> None:
        self._network.connections(self._link_id).remove(self._broken)
        self._server.connections.remove(self._server_gone)

    def _connect(self) -> None:
        if self._over or self._pipes:
            return
        if not self._server.accepts:
            self._server.when_changed(self._soon_again)
        else:
            self._network.when_whole(self._link_id, lambda: self._enter_life(self._connects))

    def _connects(self) -> None:
        if self._over or self._pipes:
            return
        if not self._server.accepts:
            self._connect()
            return
        self._connection += 1
        self._pipes = Pipe(self._network, self._link_id), Pipe(self._network, self._link_id)
        if self._generations:
            run = f"{self._server.name}:{self._server.life}"
            begun = self._server.execute(Command("begin_generation", (run,)), self._clock.now_us() // 1000)
            self.generation = begun[0] if begun else self.generation
        self._wake()

    def _broken(self) -> None:
        """Reset the connection of both ends."""
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
        """Close the connection: a beginning of the commands under way still arrives, in order, and no result comes back."""
        self._connection += 1
        if self._pipes:
            commands, results = self._pipes
            self._pipes = None
            commands.close(0 if server_gone else self._rng.randint(0, len(commands)))
            results.close()

    # ------------------------------------------------------------ commands and results

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
                self._enter_life(lambda: self._on_result(connection, entry, result))

            if not self._pipes[1].send(answered, self._server.answer_takes_s):
                self._broken()

    def _on_result(self, connection: int, entry: Entry, result: Result | StoreFault | None) -> None:
        """Take the result of a command. A rejected command (None) was not executed: it is sent again over a new connection."""
        if connection != self._connection or self._over:
            return
        if result is None:
            entry.sent = False
            self._broken()
            return
        self._answered += 1
        first = self._sent.popleft()
        assert first is entry, "a connection keeps its order"
        if isinstance(result, StoreFault):
            entry.lost(result)
        else:
            entry.then(result)

    def _watch(self) -> None:
        """Reset the connection unless a result comes within `answer_within_s`: a paused server keeps it open for ever."""
        if not self._watching:
            self._watching = True
            answered = self._answered
            self._world.later(self.answer_within_s, lambda: self._look(answered))

    def _look(self, answered: int) -> None:
        self._watching = False
        if self._sent and self._pipes and not self._over:
            if answered == self._answered:
                self._broken()
            else:
                self._watch()
