"""The start-up times: of a command that only prints, and of a service from its start until it serves.

`python -m benchmarks.startup [--rounds 10]`

Each row is the median and the worst of its rounds, in seconds of wall clock, and the processor time of one. The
machine should be quiet. A service is killed and started again in a running shop, so its time is that of a respawn.
"""

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from harness.runtimes.deployment.spec import Spec
from harness.runtimes.local.deployment import LocalDeployment

COMMANDS = (("--help",), ("protocols",))
LIMITS_S = {"wdm --help": 0.3, "wdm protocols": 0.4, "a service serves": 0.5}
SERVICE = "stock-1"


def command(arguments: tuple[str, ...]) -> Callable[[], float]:
    """Return a function that runs the command once and returns its seconds."""

    def once() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "wdm", *arguments], check=True, capture_output=True)
        return time.perf_counter() - began

    return once


async def services(rounds: int) -> list[float]:
    with tempfile.TemporaryDirectory() as folder:
        shop = LocalDeployment(Spec(protocol="2pc", respawn_after_s=3600), Path(folder))
        await shop.up()
        try:
            return [await _respawned(shop) for _ in range(rounds)]
        finally:
            await shop.down()


async def _respawned(shop: LocalDeployment) -> float:
    shop.kill(SERVICE, stay_down=True)
    await shop.settled()
    while any(node.name == SERVICE and node.state != "down" for node in shop.nodes()):
        await asyncio.sleep(0.01)
    began = time.perf_counter()
    await shop.restart(SERVICE)
    return time.perf_counter() - began


def row(name: str, seconds: list[float], used_s: float | None = None) -> str:
    used = "-" if used_s is None else f"{used_s:.2f}"
    return f"{name:18} {statistics.median(seconds):6.2f} {max(seconds):6.2f} {used:>6} {LIMITS_S[name]:6.1f}"


def used_by_children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds: int = parser.parse_args().rounds
    print(f"{'':18} {'median':>6} {'worst':>6} {'cpu':>6} {'limit':>6}   seconds")
    for arguments in COMMANDS:
        before = used_by_children_s()
        seconds = [command(arguments)() for _ in range(rounds)]
        print(row(f"wdm {arguments[0]}", seconds, (used_by_children_s() - before) / rounds))
    print(row("a service serves", asyncio.run(services(rounds))))


if __name__ == "__main__":
    main()
