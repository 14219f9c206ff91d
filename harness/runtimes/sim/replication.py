"""The connection by which one simulated copy follows another: a place in the history, then every write, in order.

follower: place ->       primary:  has it -> all writes since       (partial)
                                   else   -> a whole copy           (full: takes `COPY_S`; the follower keeps its data until then)
primary:  write, ... ->  follower: applies
primary:  ask ->         follower: acknowledges all that it has applied
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.runtimes.base import LinkId
from harness.runtimes.sim.network import Pipe, SimulatedNetwork

if TYPE_CHECKING:
    from harness.runtimes.sim.copy_server import CopyServer
    from harness.runtimes.sim.server import Write
    from protocols.store.tables import Tables

AGAIN_S = (0.02, 0.3)
COPY_S = (0.02, 0.25)
NOTICED_WITHIN_S = 0.001
"""A primary notices the end of a connection a moment later, and handles commands of other connections before."""


class Stream:
    """The following of `primary` by one life of `follower`: a connection, and another one after each loss, until `close`."""

    def __init__(self, network: SimulatedNetwork, follower: "CopyServer", primary: "CopyServer") -> None:
        self.network = network
        self.follower, self.primary = follower, primary
        self._life = follower.life
        self._closed = False
        self._feed: Feed | None = None
        self._connect()

    @property
    def link_id(self) -> LinkId:
        return self.follower.name, self.primary.name

    @property
    def online(self) -> bool:
        """Return whether the follower is connected, and has all that its primary had then."""
        return self._feed is not None and self._feed.synchronised

    def close(self) -> None:
        """End it, by the follower."""
        self._closed = True
        if self._feed is not None:
            self._feed.end()

    def lost(self) -> None:
        """Open another connection after a pause."""
        self._feed = None
        self.network.world.later(self.follower.rng.uniform(*AGAIN_S), lambda: self._enter(self._connect))

    def _enter(self, call: Callable[[], None]) -> None:
        self.follower.enter(self._life, call)

    def _connect(self) -> None:
        if self._closed or self._feed is not None:
            return
        if self.primary.state not in ("running", "paused"):
            self.lost()
        else:
            self.network.when_whole(self.link_id, lambda: self._enter(self._open))

    def _open(self) -> None:
        if self._closed or self._feed is not None:
            return
        if self.primary.state not in ("running", "paused"):
            self.lost()
        else:
            self._feed = Feed(self)
            self._feed.begin()


class Feed:
    """One connection of a stream. `online` and `acknowledged`, a number of writes, are what the primary knows of its follower."""

    def __init__(self, stream: Stream) -> None:
        self.online = False
        self.synchronised = False
        self.acknowledged = 0
        self._stream = stream
        self._follower, self._primary = stream.follower, stream.primary
        self._lives = stream.follower.life, stream.primary.life
        self._accepted = False
        self._alive = True
        self._network = stream.network
        self._up, self._down = (Pipe(self._network, stream.link_id) for _ in range(2))

    def begin(self) -> None:
        self._network.connections(self._stream.link_id).append(self.broken)
        self._primary.feeds[self] = None
        place = self._follower.place()
        self._to_primary(lambda: self._asked(*place))

    def end(self) -> None:
        """End the connection; the primary notices that a moment later."""
        if self._alive:
            self._alive = False
            self._network.connections(self._stream.link_id).remove(self.broken)
            self._up.close()
            self._down.close()
            self._at_primary(
                lambda: self._network.world.later(
                    self._primary.rng.random() * NOTICED_WITHIN_S, lambda: self._at_primary(self._noticed)
                )
            )

    def broken(self) -> None:
        """Lose the connection."""
        if self._alive:
            self.end()
            self._stream.lost()

    # ------------------------------------------------------------ the primary's side

    def send(self, write: "Write") -> None:
        """Send a write, once the follower was accepted."""
        if self._accepted:
            self._to_follower(lambda: self._follower.apply(write))

    def ask(self) -> None:
        """Ask for an acknowledgement."""
        if self.online:
            self._to_follower(self._acknowledge)

    def _asked(self, writes: int, last: "Write | None") -> None:
        if not self._primary.accepts_followers:
            self._to_follower(self.broken)
            return
        self._accepted = True
        if self._primary.has(writes, last):
            self.online = True
            for write in self._primary.since(writes):
                self.send(write)
            self._to_follower(self._joined)
        else:
            everything, tables = self._primary.since(0), self._primary.tables.snapshot()
            self._to_follower(lambda: self._loaded(everything, tables), self._primary.rng.uniform(*COPY_S))

    def _heard(self, writes: int) -> None:
        self.online = True
        self.acknowledged = writes
        self._primary.acknowledged()

    def _noticed(self) -> None:
        self._primary.feeds.pop(self, None)

    # ------------------------------------------------------------ the follower's side

    def _joined(self) -> None:
        self.synchronised = True
        self._acknowledge()

    def _loaded(self, writes: "list[Write]", tables: "Tables") -> None:
        self._follower.load(writes, tables)
        self._joined()

    def _acknowledge(self) -> None:
        writes = self._follower.end
        self._to_primary(lambda: self._heard(writes))

    # ------------------------------------------------------------ inside

    def _to_follower(self, call: Callable[[], None], after_s: float = 0.0) -> None:
        if self._alive and not self._down.send(
            lambda: self._follower.enter(self._lives[0], lambda: self._if_alive(call)), after_s
        ):
            self.broken()

    def _to_primary(self, call: Callable[[], None]) -> None:
        if self._alive and not self._up.send(lambda: self._at_primary(lambda: self._if_alive(call))):
            self.broken()

    def _at_primary(self, call: Callable[[], None]) -> None:
        self._primary.enter(self._lives[1], call)

    def _if_alive(self, call: Callable[[], None]) -> None:
        if self._alive:
            call()
