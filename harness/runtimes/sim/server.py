"""A simulated store server: the pure twin of the store's commands, and the log that a real one would write.

The log is the store: a power cut leaves the state after the commands that had reached the disk. A kill loses no command, as
the kernel has the log, unless the disk was full. With `everysec` a real store then acknowledges the command that meets the
full disk and has it in memory only, and rejects all others (MISCONF) until it can write; with `always` it ends.
"""

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import NamedTuple

from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.world import World
from protocols.core import Command, Config, Protocol
from protocols.ports import StoreFault
from protocols.store.tables import Result
from protocols.store.twin import Twin

SYNC_EVERY_S = 1.0
SYNC_TAKES_S = 0.001  # with `always`, between the effect of a command and its reply


class Write(NamedTuple):
    """A command in a log, with its time. Copies of a store share the object, so it marks one place of one history."""

    now_ms: int
    command: Command


class Server(Machine):
    """A store. `durability` is `everysec` or `always`. `on_failure` is called for each command that fails, with the reason."""

    start_s = 0.08

    def __init__(
        self,
        world: World,
        service: str,
        number: int,
        respawn_s: float,
        protocol: Protocol,
        config: Config,
        durability: str,
        on_failure: Callable[[Command, str], None] = lambda _, __: None,
        name: str = "",
    ) -> None:
        super().__init__(world, name or f"{service}-store", "store", service, number, respawn_s)
        self._protocol = protocol
        self._config = config
        self._on_failure = on_failure
        self._always = durability == "always"
        self._log: list[tuple[float, Write]] = []  # with the seconds at which this server executed it
        self._survived = 0  # the commands that a former power cut has left, which are on the disk
        self.twin = self.new_twin()
        self.full = False
        self._unwritten: int | None = (
            None  # from this command on the log is in memory only, and every further one is rejected
        )
        self.connections: list[Callable[[], None]] = []  # called at the end of the server

    @property
    def answer_takes_s(self) -> float:
        """Return the seconds between the effect of a command and its reply."""
        return SYNC_TAKES_S if self._always else 0.0

    @property
    def accepts(self) -> bool:
        """Return whether a client can connect: a connection begins with a write, which a store without space rejects."""
        return self.state == "running" and self._unwritten is None

    def fill_disk(self) -> None:
        """Let no further command reach the disk."""
        self.full = True

    def free_disk(self) -> None:
        """Let commands reach the disk again; that of the memory does so first."""
        self.full, self._unwritten = False, None
        self.changed()

    def execute(self, command: Command, now_ms: int) -> Result | None:
        """Execute a command; return its result, None if it was rejected or ended the server. Raises `StoreFault` if it failed."""
        if self._unwritten is not None:
            return None
        if self.full and self._always:
            self.kill(stay_down=False)
            return None
        if self.full:
            self._unwritten = len(self._log)
        self.world.trace.add(self.name, f"{command.name} {command.args[0] if command.args else ''}")
        try:
            return self.twin.run(command, now_ms)
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
            self._on_failure(command, why)
            raise StoreFault(why) from error
        finally:
            self.executed(Write(now_ms, command))

    def executed(self, write: Write) -> None:
        """Add a command to the log."""
        self._log.append((self.world.loop.time(), write))

    def new_twin(self) -> Twin:
        """Return an empty store."""
        return Twin(self._protocol, self._config)

    def died(self) -> None:
        if self._unwritten is not None:
            self._lose(self._unwritten)
            self._unwritten = None
        for gone in tuple(self.connections):
            gone()

    def cut_tail(self, rng: Random) -> str:
        """Drop some or all of the commands that were not certainly on disk; return the loss in words. The server is down."""
        lasts_s = SYNC_TAKES_S if self._always else SYNC_EVERY_S
        now_s = self.world.loop.time()
        certain = sum(at_s <= now_s - lasts_s for at_s, _ in self._log)
        kept = self._survived = rng.randint(max(certain, self._survived), len(self._log))
        lost = self._lose(kept)
        return f"lost the last {lost} of {kept + lost} commands"

    def _lose(self, kept: int) -> int:
        """Drop all commands but the first `kept`; return how many were dropped."""
        lost = len(self._log) - kept
        del self._log[kept:]
        self.twin = self.new_twin()
        for _, write in self._log:
            with suppress(Exception):  # a command that fails here failed the first time as well
                self.twin.run(write.command, write.now_ms)
        self.world.trace.add(self.name, f"lost {lost} commands")
        return lost
