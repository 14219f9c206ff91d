"""The processes below a process, read from `/proc`: frozen, killed, and recognized again after a restart by somebody else."""

import os
import signal
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.process import PROC, Identity, alive, fields, identify, paused, send

GONE_WITHIN_S = 5.0
STOPPED_WITHIN_S = 0.5
POLL_S = 0.01
LISTENS = "0A"  # the state TCP_LISTEN in /proc/net/tcp
INIT = 1


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """A process that is no zombie, with the pids of its parent and of the leader of its group."""

    identity: Identity
    parent: int
    group: int


def table() -> Mapping[int, ProcessEntry]:
    """Return every process by its pid."""
    entries = {}
    for folder in PROC.glob("[0-9]*"):
        stat = fields(int(folder.name))
        if stat is not None and stat[0] != "Z":
            pid = int(folder.name)
            entries[pid] = ProcessEntry(Identity(pid, stat[19]), int(stat[1]), int(stat[2]))
    return entries


def members(root: Identity) -> list[Identity]:
    """Return a process, all below it, and those of its group if it leads one; the process first, empty if it is gone.

    Raises `EnvironmentFailure` if this very process, one above it or process 1 is among them.
    """
    entries = table()
    if root.pid not in entries or entries[root.pid].identity != root:
        return []
    below: dict[int, list[int]] = {}
    for pid, entry in entries.items():
        below.setdefault(entry.parent, []).append(pid)
    led = entries[root.pid].group == root.pid
    group = [pid for pid, entry in entries.items() if led and entry.group == root.pid]
    found: dict[int, None] = {}
    waiting = [*group, root.pid]
    while waiting:
        pid = waiting.pop()
        if pid not in found:
            found[pid] = None
            waiting += below.get(pid, [])
    if ours := found.keys() & _own(entries):
        raise EnvironmentFailure(f"process {root.pid} is not touched: wdm itself (process {min(ours)}) belongs to it")
    return [entries[pid].identity for pid in found]


def freeze(root: Identity) -> list[Identity]:
    """Stop a process and all that belong to it; return them. Raises `EnvironmentFailure`, after they go on again."""
    frozen: dict[Identity, None] = {}
    try:
        # Until a look finds none that is new: a process may start another between the look and its own stop.
        while new := [identity for identity in members(root) if identity not in frozen]:
            for identity in new:
                send(identity, signal.SIGSTOP)
                frozen[identity] = None
            _await_stop(new)
    except PermissionError:
        go_on(frozen)
        raise EnvironmentFailure(f"process {root.pid} may not be signalled by this user") from None
    except BaseException:
        go_on(frozen)
        raise
    return list(frozen)


def go_on(identities: Iterable[Identity]) -> None:
    """Let stopped processes go on."""
    for identity in identities:
        with suppress(PermissionError):
            send(identity, signal.SIGCONT)


def kill(root: Identity) -> None:
    """End a process and all that belong to it, and return once none is left. Raises `EnvironmentFailure`."""
    victims = freeze(root)  # none of them can start another, or restart one that ends, before its own end
    for identity in victims:
        send(identity, signal.SIGKILL)
    deadline = time.monotonic() + GONE_WITHIN_S
    while left := [identity.pid for identity in victims if alive(identity)]:
        if time.monotonic() > deadline:
            raise EnvironmentFailure(f"processes {left} did not end within {GONE_WITHIN_S:g} s after SIGKILL")
        time.sleep(POLL_S)


def now_ticks() -> int:
    """Return the present in the unit of a process's start: ticks since boot."""
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


@dataclass(frozen=True, slots=True)
class Likeness:
    """The signs by which the successor of a process is recognized: its parent, its command line, its listening ports."""

    parent: int
    arguments: bytes
    ports: frozenset[int]

    @classmethod
    def of(cls, root: Identity) -> "Likeness | None":
        """Return the signs of a process that runs; None if it is gone."""
        stat, arguments = fields(root.pid), _arguments(root.pid)
        if stat is None or identify(root.pid) != root:
            return None
        with suppress(EnvironmentFailure):
            return cls(int(stat[1]), arguments, frozenset(listening(members(root))))
        return None

    def successors(self, since_ticks: int, *, started_by_us: bool) -> list[Identity]:
        """Return the processes that look like this one and have started since; the best first.

        `started_by_us`: the parent is another one now.
        """
        entries = {pid: entry for pid, entry in table().items() if int(entry.identity.started) >= since_ticks}
        # Of several that listen on one port, as a master and its workers do, the one above the others.
        holders = [pid for pid, entry in entries.items() if self.ports & set(listening([entry.identity]))]
        likes = [
            pid
            for pid, entry in entries.items()
            if self.arguments and (started_by_us or entry.parent == self.parent) and _arguments(pid) == self.arguments
        ]
        chosen = dict.fromkeys([*likes, *holders] if not self.ports else [*holders, *likes])
        tops = [pid for pid in chosen if entries[pid].parent not in chosen]
        return [entries[pid].identity for pid in tops if os.getpid() != pid]


def listening(identities: Iterable[Identity]) -> Iterator[int]:
    """Yield the TCP ports on which processes listen."""
    for identity in identities:
        with suppress(OSError):  # it is gone, or another user's
            folder = PROC / str(identity.pid)
            sockets = {str(descriptor.readlink()) for descriptor in (folder / "fd").iterdir()}
            for file in ("tcp", "tcp6"):
                for line in (folder / "net" / file).read_text().splitlines()[1:]:
                    words = line.split()
                    if words[3] == LISTENS and f"socket:[{words[9]}]" in sockets:
                        yield int(words[1].rpartition(":")[2], 16)


def _await_stop(identities: list[Identity]) -> None:
    """Wait until all are stopped or gone: a signal takes effect a little later, and much later in a call of a slow device."""
    deadline = time.monotonic() + STOPPED_WITHIN_S
    while any(alive(identity) and not paused(identity) for identity in identities) and time.monotonic() < deadline:
        time.sleep(POLL_S / 10)


def _own(entries: Mapping[int, ProcessEntry]) -> set[int]:
    """Return the pids of this process and of all above it, and process 1."""
    own, pid = {INIT}, os.getpid()
    while pid in entries and pid not in own:
        own.add(pid)
        pid = entries[pid].parent
    return own


def _arguments(pid: int) -> bytes:
    try:
        return (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""
