"""A simulated store server that is one of several copies, with the rules of replication of a Valkey server.

- A *primary* executes commands; the writes among them go to its followers, in order (`replication.py`). A follower refuses all
  commands: no function of the library is registered as one that only reads.
- `WAIT` counts the followers that have acknowledged the last write of its connection, and blocks that connection meanwhile. It
  is an error at a follower, and where the server becomes one.
- A server that follows nobody keeps its data, and serves no follower that it did not have before.
- A death forgets the place in the stream, so the next synchronisation is a full copy. The log, the promise and the role of the
  configuration file last.
- A hold is a connection of an elector that has ended every other one.
"""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from harness.runtimes.sim.network import SimulatedNetwork
from harness.runtimes.sim.replication import Feed, Stream
from harness.runtimes.sim.server import Server, Write
from harness.runtimes.sim.written_tables import WrittenTables
from protocols.copies.elector import View
from protocols.core import Command, Config, Protocol
from protocols.store.epochs import progress
from protocols.store.tables import Result, Tables
from protocols.store.twin import Twin

NOBODY = ""

Answered = Callable[[int | None], None]


class ServerSession:
    """A client's connection to a server. `offset`: the end of its last write in the stream."""

    def __init__(self) -> None:
        self.offset = 0
        self.blocked = False
        self.closed = False
        self.queue: deque[Callable[[], None]] = deque()


class Holding:
    """An elector's connection to a server; `alive` until another elector has taken the hold, or the server has died."""

    alive = True


class CopyServer(Server):
    """One copy of a store. `copies` has all of them by name, itself included."""

    def __init__(
        self,
        network: SimulatedNetwork,
        service: str,
        name: str,
        number: int,
        respawn_s: float,
        protocol: Protocol,
        config: Config,
        durability: str,
        on_failure: Callable[[Command, str], None],
    ) -> None:
        super().__init__(network.world, service, number, respawn_s, protocol, config, durability, on_failure, name)
        self.copies: Mapping[str, CopyServer] = {}
        self.primary = False
        self.follows = NOBODY
        self.promised = 0
        self.in_stream = False
        self.feeds: dict[Feed, None] = {}  # the connections of followers, accepted or not
        self._network = network
        self._stream: Stream | None = None  # the one that this server follows
        self._configured_role = (not config.enabled("follow-nobody"), NOBODY)  # (primary, follows) of the next start
        self._keeps_role = not config.enabled("follow-nobody")
        self._waits: list[tuple[ServerSession, Answered]] = []
        self._holdings: list[Holding] = []

    # ------------------------------------------------------------ life

    def born(self) -> None:
        # New objects: the server has forgotten where it was in whose stream, so it shares no history with any other.
        self._log = [(at_s, Write(*write)) for at_s, write in self._log]
        primary, follows = self._configured_role
        if follows:
            self.follow(follows)
        else:
            self.primary = primary

    def died(self) -> None:
        if self._keeps_role:
            self._configured_role = self.primary, self.follows
        self.primary, self.follows = False, NOBODY
        self.in_stream = False
        self._leave()
        self._waits.clear()
        self._drop_followers()
        for holding in self._holdings:
            holding.alive = False
        self._holdings.clear()
        super().died()

    def wipe(self) -> str:
        """Lose the whole log; return the loss in words. The server is down."""
        self._survived = 0
        return f"lost all {self._lose(0)} commands"

    def new_twin(self) -> Twin:
        twin = super().new_twin()
        twin.tables = WrittenTables({})
        return twin

    @property
    def tables(self) -> WrittenTables:
        tables = self.twin.tables
        assert isinstance(tables, WrittenTables)
        return tables

    @property
    def end(self) -> int:
        """Return the number of writes that this copy has."""
        return len(self._log)

    def view(self) -> View:
        """Return what an elector sees."""
        epoch, bundles = progress(self.tables)
        return View(self.promised, epoch, bundles, self.primary, self.follows, self.end if self.in_stream else 0)

    # ------------------------------------------------------------ clients

    def arrive(self, session: ServerSession, do: Callable[[], None]) -> None:
        """Do what a connection asks for: now, or when it is no longer blocked, which its end may prevent."""
        if not session.blocked:
            do()
        elif not session.closed:
            session.queue.append(do)

    def execute(self, command: Command, now_ms: int, session: ServerSession | None = None) -> Result | None:
        """Execute a command as `Server.execute`; None as well if this is not the primary."""
        if not self.primary:
            return None
        self.tables.changed = False
        before = self.end
        try:
            return super().execute(command, now_ms)
        finally:
            if session is not None and self.end > before:
                session.offset = self.end

    def executed(self, write: Write) -> None:
        if self.tables.changed:
            self.append(write)

    def wait(self, session: ServerSession, within_s: float, answered: Answered) -> None:
        """Call `answered` with the number of followers that have all writes of a connection, once it is 1 or the time is over.

        With None, and not before it was too late, if this is no primary.
        """
        if not self.primary:
            answered(None)
            return
        count = self._confirmed(session)
        if count:
            answered(count)
            return
        session.blocked = True
        waiting = (session, answered)
        self._waits.append(waiting)
        for feed in tuple(self.feeds):
            feed.ask()
        life = self.life

        def over() -> None:
            if waiting in self._waits:
                self._answer(waiting, self._confirmed(session))

        self.world.later(within_s, lambda: self.enter(life, over))

    def confirm(self, epoch: int, within_s: float, result: Callable[[bool | None], None]) -> None:
        """Answer an elector whether this is the primary of `epoch`, with a follower that has all of it; None if it is none."""
        if not self.primary:
            result(None)
            return
        session = ServerSession()
        number, _ = progress(self.tables)
        if self.execute(Command("bundle_end", (number,)), self.world.now_us() // 1000, session) is None:
            result(None)  # its disk is full
            return
        self.wait(session, within_s, lambda count: result(number == epoch and bool(count)))

    def acknowledged(self) -> None:
        """Answer the waits that a follower has just confirmed."""
        for waiting in tuple(self._waits):
            count = self._confirmed(waiting[0])
            if count:
                self._answer(waiting, count)

    def _confirmed(self, session: ServerSession) -> int:
        return sum(feed.online and feed.acknowledged >= session.offset for feed in self.feeds)

    def _answer(self, waiting: tuple[ServerSession, Answered], count: int | None) -> None:
        self._waits.remove(waiting)
        session, answered = waiting
        session.blocked = False
        answered(count)
        while session.queue and not session.blocked and not session.closed:
            session.queue.popleft()()

    # ------------------------------------------------------------ the roles

    def detach(self) -> None:
        """Follow nobody."""
        self._become_follower(NOBODY)

    def follow(self, name: str) -> None:
        """Follow another copy, and become like it."""
        self._become_follower(name)
        self._stream = Stream(self._network, self, self.copies[name])

    def promote(self, epoch: int) -> None:
        """Become a primary, and begin an epoch."""
        self.world.trace.add(self.name, f"primary of epoch {epoch}")
        self._leave()
        self.follows = NOBODY
        self.primary = True
        self.in_stream = True
        self._drop_followers()  # they ask again, and continue
        self.execute(Command("begin_epoch", (epoch,)), self.world.now_us() // 1000)

    def promise(self, ballot: int) -> None:
        """Write down the largest ballot for which this copy was revoked, and its role: `CONFIG REWRITE` writes both."""
        self.promised = ballot
        self._configured_role = self.primary, self.follows

    def _become_follower(self, name: str) -> None:
        self.world.trace.add(self.name, f"follows {name or 'nobody'}")
        self._leave()
        self.primary, self.follows = False, name
        for waiting in tuple(self._waits):
            self._answer(waiting, None)

    def _leave(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    # ------------------------------------------------------------ replication

    @property
    def accepts_followers(self) -> bool:
        """Return whether it accepts a follower that asks now."""
        return self.primary or (self._stream is not None and self._stream.online)

    def has(self, writes: int, last: Write | None) -> bool:
        """Return whether a history of so many writes, with this last one, is a beginning of this copy's."""
        return writes == 0 or (0 < writes <= self.end and self._log[writes - 1][1] is last)

    def place(self) -> tuple[int, Write | None]:
        """Return the number of writes and the last one, for `has`; (-1, None) after a restart."""
        return (self.end, self._log[-1][1] if self._log else None) if self.in_stream else (-1, None)

    def since(self, writes: int) -> list[Write]:
        """Return all writes behind the first ones."""
        return [write for _, write in self._log[writes:]]

    def append(self, write: Write) -> None:
        """Add a write to the log, and send it to the followers."""
        self._log.append((self.world.loop.time(), write))
        for feed in tuple(self.feeds):
            feed.send(write)

    def apply(self, write: Write) -> None:
        """Execute a write of the stream that this copy follows."""
        if self.full and self._unwritten is None:
            self._unwritten = self.end
        with suppress(Exception):  # the primary has reported it
            self.twin.run(write.command, write.now_ms)
        self.append(write)

    def load(self, writes: list[Write], tables: Tables) -> None:
        """Become a whole copy of another one."""
        self.world.trace.add(self.name, f"copied whole from {self.follows}")
        now_s = self.world.loop.time()
        self._log = [(now_s, write) for write in writes]
        self._unwritten, self._survived = None, self.end
        self.twin.tables = WrittenTables(tables)
        self.in_stream = True
        self._drop_followers()

    def _drop_followers(self) -> None:
        for feed in tuple(self.feeds):
            feed.broken()
        self.feeds.clear()

    # ------------------------------------------------------------ holds

    def connect_elector(self) -> Holding:
        """Open a connection of an elector."""
        holding = Holding()
        self._holdings.append(holding)
        return holding

    def take(self, holding: Holding) -> None:
        """End every other elector's connection."""
        for other in self._holdings:
            other.alive = other is holding
        self._holdings = [holding]
