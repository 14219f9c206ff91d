"""The limits that the system sets to a deployment: checked before the first process starts, named when one is reached."""

import os
import resource
from contextlib import suppress

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.spec import Spec
from protocols.registry import load
from protocols.shop.services import SERVICES

LEAST_FILES = 256
MOST_ELECTORS = 3
TASKS_A_NODE = 7
"""Processes and threads: 48 were counted for a shop of seven nodes."""


def check(spec: Spec) -> None:
    """Raise `EnvironmentFailure` naming a limit with which no shop of this size can start."""
    protocol = load(spec.protocol)
    stores = len({protocol.store_of(service) for service in SERVICES}) * spec.servers
    nodes = stores + MOST_ELECTORS * (spec.servers > 1) + len(SERVICES) * spec.workers + 1
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


def allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one, for children too: a thousand checkouts at once need sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS refuses 'unlimited'; its own limit then stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
