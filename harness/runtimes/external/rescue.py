"""The end of a pause or a kill after the death of the process that began it; the watchdog starts it.

`python -m harness.runtimes.external.rescue process PID STARTED`: the process and all below it go on.
`python -m harness.runtimes.external.rescue container ID`: the container goes on, or is started.
"""

import sys
from contextlib import closing

from harness.runtimes.deployment.process import Identity
from harness.runtimes.docker.engine_client import connect
from harness.runtimes.external import process_tree


def main(arguments: list[str]) -> int:
    """Carry out the rescue that the arguments name. Return 0. Raises `EnvironmentFailure`."""
    match arguments:
        case ["process", pid, started]:
            process_tree.go_on(process_tree.members(Identity(int(pid), started)))
        case ["container", name]:
            _container(name)
    return 0


def _container(name: str) -> None:
    with closing(connect()) as client:
        container = client.containers.get(name)
        if container.status == "paused":
            container.unpause()
        elif container.status == "exited":
            container.start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
