"""The owner of containers: labels that name the user, the folder and the process, by which leftovers are recognised."""

import getpass
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from harness.runtimes.deployment.process import Identity, alive, identify

USER, FOLDER, PROCESS = "wdm.user", "wdm.folder", "wdm.process"
"""Labels of containers and networks. Volumes outlive the process that made them, so they have none of these."""
BOOT = Path("/proc/sys/kernel/random/boot_id")


def labels(folder: Path) -> dict[str, str]:
    """Return the labels of this process as the owner of a deployment in this folder."""
    identity = identify(os.getpid())
    started = identity.started if identity else ""
    return {USER: _user(), FOLDER: str(folder), PROCESS: f"{os.getpid()} {started} {_boot()}"}


def is_gone(labels: Mapping[str, str]) -> bool:
    """Return whether the process that these labels name has ended; False if they name none, or another machine's."""
    pid, _, rest = labels.get(PROCESS, "").partition(" ")
    started, _, boot = rest.partition(" ")
    if not pid.isdecimal() or labels.get(USER, "").rpartition("@")[2] != socket.gethostname():
        return False
    return boot != _boot() or not alive(Identity(int(pid), started))


def describe(labels: Mapping[str, str]) -> str:
    """Return the owner that these labels name, as a phrase."""
    pid = labels[PROCESS].partition(" ")[0]
    return f"started by process {pid} of {labels[USER]} for {labels[FOLDER]}"


def _user() -> str:
    """Return the user and the machine; the user's id where it has no name, as in a container."""
    name = str(os.getuid())
    with suppress(KeyError, OSError):
        name = getpass.getuser()
    return f"{name}@{socket.gethostname()}"


def _boot() -> str:
    """Return the id of this start of the machine, within which a pid and its start time are unique."""
    with suppress(OSError):
        return BOOT.read_text().strip()
    return ""
