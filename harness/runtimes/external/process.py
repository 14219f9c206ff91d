"""A node that is a process of this machine, with all processes below it, which somebody else has started."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Node, State
from harness.runtimes.deployment import process
from harness.runtimes.deployment.process import Identity
from harness.runtimes.external import process_tree
from harness.runtimes.external.base import guess_kind
from harness.runtimes.external.command import FOREGROUND_S, ShellCommand
from harness.runtimes.external.process_tree import Likeness

RESPAWN_WITHIN_S = 10.0
"""The time for a supervisor, or for a start command, until the next process of a node is seen."""
SUPERVISOR_FIRST_S = 1.0
"""The time in which a supervisor may start a node again, before its start command is used."""
POLL_S = 0.05
LOOK_AGAIN_TICKS = 200


class NodeProcesses:
    """The processes that are nodes already: of several alike, each is the process of one node."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_node: dict[str, Identity] = {}

    def claim(self, name: str, candidates: Iterator[Identity]) -> Identity | None:
        """Return the first candidate that is no other node's, as this node's process from now on; None without one."""
        with self._lock:
            others = {identity for other, identity in self._by_node.items() if other != name}
            for identity in candidates:
                if identity not in others and process.alive(identity):
                    self._by_node[name] = identity
                    return identity
        return None


class Source(Protocol):
    """The place where the present process of a node is found."""

    what: str

    @property
    def sure(self) -> bool:
        """Return whether the next process is recognized for sure, if late: by its port, or by its file."""

    def first(self) -> Identity | None:
        """Return the process at the beginning; None if none runs."""

    def seen(self, identity: Identity) -> None:
        """Note that this process of the node runs now, for its recognition after an end."""

    def next(self, *, started_by_us: bool) -> Iterator[Identity]:
        """Yield the processes that may have followed the one that was last seen."""


class PidSource:
    """A pid. The process that follows is recognized by the signs of `Likeness`."""

    def __init__(self, pid: int) -> None:
        self.what = f"process {pid}"
        self._pid = pid
        self._likeness: Likeness | None = None
        self._identity: Identity | None = None
        self._since_ticks = 0
        self._look_at_ticks = 0

    @property
    def sure(self) -> bool:
        return self._likeness is not None and bool(self._likeness.ports)

    def first(self) -> Identity | None:
        return process.identify(self._pid)

    def seen(self, identity: Identity) -> None:
        ticks = process_tree.now_ticks()
        # Again until it listens: a process that has just started has no port, and may not have its command line yet.
        listens = self._likeness is not None and self._likeness.ports
        if identity != self._identity or (not listens and ticks >= self._look_at_ticks):
            self._identity, self._look_at_ticks = identity, ticks + LOOK_AGAIN_TICKS
            likeness = Likeness.of(identity)
            known = self._likeness.ports if self._likeness else frozenset()
            if likeness is not None:
                self._likeness = replace(likeness, ports=likeness.ports or known)
        if process.alive(identity):
            self._since_ticks = ticks

    def next(self, *, started_by_us: bool) -> Iterator[Identity]:
        if self._likeness is not None:
            yield from self._likeness.successors(self._since_ticks, started_by_us=started_by_us)


class PidFileSource:
    """A file with a pid, which is written anew at each start of the process."""

    sure = True

    def __init__(self, path: Path) -> None:
        self.what = f"the process of {path}"
        self._path = path
        self._version: tuple[int, int] | None = None
        self._last: Identity | None = None

    def first(self) -> Identity | None:
        return self._read()

    def seen(self, identity: Identity) -> None:
        self._last, self._version = identity, self._stat()

    def next(self, *, started_by_us: bool) -> Iterator[Identity]:
        del started_by_us
        identity = self._read()
        # The same pid in the same file is the pid of the ended process, which the system has given to another one.
        stale = self._last is not None and identity is not None and identity.pid == self._last.pid
        if identity is not None and not (stale and self._stat() == self._version):
            yield identity

    def _read(self) -> Identity | None:
        with suppress(OSError, ValueError, IndexError):
            return process.identify(int(self._path.read_text().split()[0]))
        return None

    def _stat(self) -> tuple[int, int] | None:
        with suppress(OSError):
            stat = self._path.stat()
            return stat.st_mtime_ns, stat.st_ino
        return None


class ProcessNode:
    """A process and all below it. It is killed as a whole; `start` is the command that starts it where no supervisor does."""

    def __init__(self, name: str, source: Source, start: ShellCommand | None, processes: NodeProcesses) -> None:
        self.name = name
        self._source = source
        self._start = start
        self._processes = processes
        self._identity: Identity | None = None
        self._frozen: list[Identity] = []
        self._starting = False
        self._ended_s = 0.0
        self.take(source.first())

    @property
    def identity(self) -> Identity | None:
        """Return its present process, or the last one."""
        return self._identity

    def take(self, identity: Identity | None) -> None:
        """Take this process for the node's."""
        if identity is not None:
            self._identity, self._ended_s = self._processes.claim(self.name, iter((identity,))), 0.0
            self._seen()

    def node(self) -> Node:
        identity, state = self._identity, self._state()
        pid = None if identity is None or state in ("down", "starting") else identity.pid
        return Node(self.name, guess_kind(self.name), self.name, pid, "", state)

    def refresh(self) -> None:
        if self._start is not None:
            self._start.runs()  # collects the command if it has ended
        if self._alive():
            self._seen()
        elif not self._follow(started_by_us=False):
            self._ended_s = self._ended_s or time.monotonic()

    def kill(self) -> None:
        self.refresh()
        if self._identity is not None and self._alive():
            with self._named():
                process_tree.kill(self._identity)
            self._ended_s = time.monotonic()
        self._frozen = []

    def pause(self) -> None:
        self.refresh()
        if self._identity is not None:
            with self._named():
                self._frozen += process_tree.freeze(self._identity)

    def resume(self) -> None:
        frozen, self._frozen = self._frozen, []
        process_tree.go_on(frozen)

    def disconnect(self) -> None:
        raise EnvironmentFailure(f"{self.name} cannot be disconnected: a process has the network of the whole machine")

    def reconnect(self) -> None:
        """Return: it is never disconnected."""

    def start(self) -> None:
        self._ended_s = self._ended_s or time.monotonic()
        first_s = RESPAWN_WITHIN_S if self._start is None else SUPERVISOR_FIRST_S
        if self._await_successor(self._ended_s + first_s, started_by_us=False):
            return
        if self._start is None:
            raise EnvironmentFailure(
                f"{self.name} does not come back: no supervisor has started {self._source.what} again within"
                f" {RESPAWN_WITHIN_S:g} s; give the command that does with --start-cmd {self.name}=COMMAND"
            )
        self._starting = True
        try:
            self._launch(self._start)
        finally:
            self._starting = False

    def rescue(self) -> tuple[str, ...]:
        return () if self._identity is None else ("process", str(self._identity.pid), self._identity.started)

    def close(self) -> None:
        if self._start is not None:
            self._start.leave()

    # ------------------------------------------------------------ inside

    def _launch(self, start: ShellCommand) -> None:
        start.begin()
        now_s = time.monotonic()
        if self._await_successor(now_s + (RESPAWN_WITHIN_S if self._source.sure else FOREGROUND_S), started_by_us=True):
            return
        # Its command line is another one, and it has no port: it is the command itself, if that still runs.
        if not self._source.sure and start.runs() and start.child is not None:
            self.take(process.identify(start.child.pid))
        if self._await_successor(now_s + RESPAWN_WITHIN_S, started_by_us=True):
            return
        raise EnvironmentFailure(
            f"{self.name}: {start} has run, and {self._source.what} has no successor within {RESPAWN_WITHIN_S:g} s"
        )

    def _await_successor(self, deadline_s: float, *, started_by_us: bool) -> bool:
        """Return whether the node runs before the deadline; look once at least."""
        while True:
            if self._alive() or self._follow(started_by_us=started_by_us):
                return True
            if started_by_us and self._start is not None:
                self._start.check()
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(POLL_S)

    def _follow(self, *, started_by_us: bool) -> bool:
        """Look for the next process of a node whose process has ended; return whether there is one."""
        found = self._processes.claim(self.name, self._source.next(started_by_us=started_by_us))
        if found is None:
            return False
        self._identity, self._ended_s = found, 0.0
        self._seen()
        return True

    def _seen(self) -> None:
        if self._identity is not None:
            self._source.seen(self._identity)

    def _alive(self) -> bool:
        return self._identity is not None and process.alive(self._identity)

    def _state(self) -> State:
        identity = self._identity
        if identity is None or not process.alive(identity):
            return "starting" if self._starting else "down"
        return "paused" if process.paused(identity) else "running"

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Put the node's name before the message of a failure."""
        try:
            yield
        except EnvironmentFailure as failure:
            raise EnvironmentFailure(f"{self.name}: {failure}") from failure
