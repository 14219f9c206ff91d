"""The usage of the containers: processor time over all their lives, and their highest memory."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.errors import EnvironmentFailure
from harness.runtimes.docker.container import Container
from harness.runtimes.docker.engine_client import engine_errors

EVERY_S = 2.0
MB = 2**20


@dataclass(slots=True)
class ContainerUsage:
    """The usage of one container. `memory_mb` is without the inactive file cache; `seen_s` is the processor time of this life."""

    cpu_s: float = 0.0
    memory_mb: float = 0.0
    seen_s: float = 0.0


class UsageSampler:
    """The readings of every container, every two seconds."""

    def __init__(self, containers: Mapping[str, Container]) -> None:
        self._containers = containers
        self._used = {name: ContainerUsage() for name in containers}

    def rows(self) -> list[dict[str, Any]]:
        """Return `{"node", "cpu_s", "memory_mb"}` of each container."""
        return [
            {"node": name, "cpu_s": round(used.cpu_s, 2), "memory_mb": round(used.memory_mb, 1)}
            for name, used in self._used.items()
        ]

    async def run(self) -> None:
        """Take a reading of every container each `EVERY_S`, until cancelled."""
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(EVERY_S)

    def _look(self) -> None:
        for name, container in self._containers.items():
            with suppress(EnvironmentFailure, KeyError), engine_errors(name):  # a container that is down has no figures
                _add(self._used[name], container.handle.stats(stream=False, one_shot=True))


def _add(used: ContainerUsage, figures: Mapping[str, Any]) -> None:
    memory = figures["memory_stats"]
    given_back = memory["stats"].get("total_inactive_file", memory["stats"].get("inactive_file", 0))
    used.memory_mb = max(used.memory_mb, (memory["usage"] - given_back) / MB)
    seen_s = figures["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
    used.cpu_s += seen_s - used.seen_s if seen_s >= used.seen_s else seen_s  # a new life counts from zero
    used.seen_s = seen_s
