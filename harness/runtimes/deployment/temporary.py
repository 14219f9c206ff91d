"""Temporary folders of deployments: each names its owner, so that a folder whose owner was killed is recognised."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from harness.runtimes.deployment import watchdog
from harness.runtimes.deployment.process import Identity, alive, identify

PREFIX = "wdm-"
OWNER = ".owner"
"""The file with the owner's process id and start. The owner of a folder without it is unknown, so it is never removed."""


def make(what: str = "") -> Path:
    """Make a folder, to be removed with `remove`, or by the watchdog if this process is killed."""
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{what}"))
    watchdog.guard(watchdog.Guarded(folder=str(folder), remove=True))
    identity = identify(os.getpid())
    with suppress(OSError):
        (folder / OWNER).write_text(f"{os.getpid()} {identity.started if identity else ''}\n")
    return folder


def remove(folder: Path) -> None:
    """Remove a folder that `make` made."""
    shutil.rmtree(folder, ignore_errors=True)
    watchdog.release(watchdog.Guarded(folder=str(folder), remove=True))


def abandoned() -> Iterator[Path]:
    """Yield the folders of this user whose owner is gone, in order."""
    for file in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{OWNER}")):
        with suppress(OSError, ValueError):
            if file.stat().st_uid == os.getuid() and not file.is_symlink():
                pid, _, started = file.read_text().strip().partition(" ")
                if not alive(Identity(int(pid), started)):
                    yield file.parent
