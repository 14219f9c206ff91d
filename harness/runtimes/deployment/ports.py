"""Ports for nodes: on loopback, and outside of the range from which the kernel chooses.

The kernel takes the near end of outgoing connections from its ephemeral range. A port from there could be taken by
the time a killed node starts again, so the nodes' ports lie below that range.
"""

import errno
import fcntl
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from random import SystemRandom
from typing import IO

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.registry import user_folder

LOOPBACK = "127.0.0.1"
LOWEST = 10_000
BLOCK = 256
_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


class Ports:
    """A block of ports that no other deployment takes while this object is open."""

    def __init__(self, avoid: int = 0) -> None:
        self._locks, first = _claim()
        self._left = (port for port in range(first, first + BLOCK) if port != avoid)

    def take(self) -> int:
        """Return the next free port of the block. Raises `EnvironmentFailure` if none is left."""
        for port in self._left:
            if is_free(port):
                return port
        raise EnvironmentFailure(f"none of {BLOCK} ports is free; stop other deployments with `wdm down --all`")

    def take_several(self, count: int) -> list[int]:
        """Return the next free ports of the block that are in sequence. Raises as `take` does."""
        taken = [self.take()]
        while len(taken) < count:
            port = self.take()
            taken = [*taken, port] if port == taken[-1] + 1 else [port]
        return taken

    def close(self) -> None:
        """Release the block."""
        for lock in self._locks:
            lock.close()


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    return why_taken(port) is None


def why_taken(port: int) -> str | None:
    """Return the reason why no server can listen on this loopback port; None if one can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen()  # with SO_REUSEADDR two may bind; only one may listen
        except OSError as error:
            return "already in use" if error.errno == errno.EADDRINUSE else os.strerror(error.errno or 0)
    return None


def _claim() -> tuple[tuple[IO[bytes] | socket.socket, ...], int]:
    blocks = list(_blocks())
    SystemRandom().shuffle(blocks)
    folder = user_folder() / "ports"
    folder.mkdir(parents=True, exist_ok=True)
    for first in blocks:
        lock, name = (folder / str(first)).open("wb"), socket.socket(socket.AF_UNIX)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The folder is one of several (`XDG_STATE_HOME`), the ports are not: Linux has names for sockets without a folder.
            if sys.platform == "linux":
                name.bind(f"\0wdm-ports-{first}")
        except OSError:
            lock.close()
            name.close()
            continue
        return (lock, name), first
    raise EnvironmentFailure("every block of ports is taken; stop other deployments with `wdm down --all`")


def _blocks() -> Sequence[int]:
    low, high = _ephemeral()
    below, above = range(LOWEST, low - BLOCK, BLOCK), range(high + 1, 65_536 - BLOCK, BLOCK)
    return below or above or range(LOWEST, 65_536 - BLOCK, BLOCK)


def _ephemeral() -> tuple[int, int]:
    try:
        low, high = _RANGE.read_text().split()
    except (OSError, ValueError):
        return 49_152, 65_535  # IANA's, and macOS's
    return int(low), int(high)
