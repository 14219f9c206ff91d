"""Processes by identity: a pid and the moment it started, so that a pid used again is never taken for the old one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GRACE_S = 2.0
POLL_S = 0.02
PROC = Path("/proc")
TAG = "WDM_DEPLOYMENT"


@dataclass(frozen=True, slots=True)
class Identity:
    """`started` is opaque: equal for the same process, different for the next one with this pid."""

    pid: int
    started: str


def identify(pid: int) -> Identity | None:
    """Return the identity of the process with this pid; None if there is none, or only a zombie that was not waited for."""
    look = _look(pid)
    return None if look is None or look[0] == "Z" else Identity(pid, look[1])


def alive(identity: Identity) -> bool:
    """Return whether this very process runs or is paused."""
    return identify(identity.pid) == identity


def paused(identity: Identity) -> bool:
    """Return whether this very process is stopped by a signal."""
    look = _look(identity.pid)
    return look is not None and look[0] == "T" and look[1] == identity.started


def send(identity: Identity, number: signal.Signals) -> bool:
    """Signal exactly this process. Return False if it is gone."""
    if not alive(identity):
        return False
    with suppress(ProcessLookupError):
        os.kill(identity.pid, number)
        return True
    return False


def end(identities: Iterable[Identity], grace_s: float = GRACE_S) -> list[Identity]:
    """Send SIGTERM, and after `grace_s` SIGKILL to the rest; return those that were alive. Blocks for at most `2 * grace_s`."""
    alive_before = [identity for identity in identities if send(identity, signal.SIGTERM)]
    for identity in alive_before:
        send(identity, signal.SIGCONT)  # a paused process handles SIGTERM only after SIGCONT
    if not _gone(alive_before, grace_s):
        for identity in alive_before:
            send(identity, signal.SIGKILL)
        _gone(alive_before, grace_s)
    return alive_before


def fields(pid: int) -> list[str] | None:
    """Return the fields of `/proc/PID/stat` from the state on; None if there is no such process. Linux only."""
    try:
        # The name may hold blanks and brackets; the fields after it are fixed (proc(5): 3 is state, 22 starttime).
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def tagged(tag: str) -> Iterator[Identity]:
    """Yield the processes whose environment names this deployment: a killed supervisor may not have recorded them all.

    Linux only; elsewhere an environment cannot be read, and no process is found.
    """
    wanted = f"{TAG}={tag}".encode()
    for folder in PROC.glob("[0-9]*"):
        with suppress(OSError):
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                identity = identify(int(folder.name))
                if identity is not None and identity.pid != os.getpid():
                    yield identity


def _gone(identities: list[Identity], within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while any(alive(identity) for identity in identities):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _look(pid: int) -> tuple[str, str] | None:
    """Return the state letter and the start time of a pid; None if there is no such process."""
    if sys.platform == "linux":
        stat = fields(pid)
        return None if stat is None else (stat[0], stat[19])
    listing = subprocess.run(  # type: ignore[unreachable,unused-ignore]  # not unreachable on macOS
        ["/bin/ps", "-o", "state=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.split(maxsplit=1)
    return (listing[0][0], listing[1].strip()) if len(listing) == 2 else None
