"""The limits that the system sets to a deployment: checked before the first process starts, named when one is reached."""

import errno
import os
import resource
from contextlib import suppress

from harness.errors import EnvironmentFailure
from harness.runtimes.local.spec import SERVICES, Spec
from protocols.registry import load

LEAST_FILES = 256
TASKS_A_NODE = 7
"""Processes and threads: 48 were counted for a shop of seven nodes."""

EXHAUSTED = {
    errno.EADDRNOTAVAIL: "no local port is left for a connection: end what holds them, or widen "
    "`sysctl net.ipv4.ip_local_port_range`",
    errno.EMFILE: "this process may open no more files: raise `ulimit -n`",
    errno.ENFILE: "this system may open no more files: see `sysctl fs.file-max`",
    errno.EAGAIN: "no further process or thread may be started: raise `ulimit -u`, or end others of this user",
}


def check(spec: Spec) -> None:
    """Raise `EnvironmentFailure` naming a limit with which no shop of this size can start."""
    protocol = load(spec.protocol)
    nodes = len({protocol.store_of(service) for service in SERVICES}) + len(SERVICES) * spec.workers + 1
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < LEAST_FILES:
        raise EnvironmentFailure(
            f"a process may open {files} files here, and a shop needs {LEAST_FILES}: raise it with `ulimit -n {LEAST_FILES}`"
        )
    tasks, needed = resource.getrlimit(resource.RLIMIT_NPROC)[0], TASKS_A_NODE * nodes
    if os.geteuid() and tasks != resource.RLIM_INFINITY and tasks < needed:  # the kernel sets root no such limit
        raise EnvironmentFailure(
            f"this user may have {tasks} processes and threads, and a shop of {nodes} nodes needs about {needed}: "
            f"raise it with `ulimit -u {needed}`"
        )


def exhausted(error: BaseException, *, starts: bool = False) -> str:
    """Words for an error that says that a limit was reached, with the way out; empty for any other.

    `starts`: it is of the start of a process, where EAGAIN means a limit too.
    """
    number = error.errno or 0 if isinstance(error, OSError) else 0
    return EXHAUSTED.get(number, "") if starts or number != errno.EAGAIN else ""


def allow_many_files() -> None:
    """A thousand checkouts at once are thousands of sockets: raise the soft limit to the hard one, for children too."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS refuses 'unlimited'; its own limit then stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
