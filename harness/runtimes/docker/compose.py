"""Compose: makes the containers, networks and volumes of `docker-compose.yml`. It is asked nothing else."""

import asyncio
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.process import TAG
from harness.runtimes.docker import project
from harness.runtimes.docker.engine_client import endpoint, in_words
from protocols.service.tasks import start_task

TOOLS = (("docker", "compose"), ("docker-compose",))
OVERRIDE = "compose.json"
"""The second file of a deployment, in its folder."""
LINKS = "links"
"""The profile, and its only service: what stands between nodes where their connections are to be disturbed."""


@dataclass(frozen=True, slots=True)
class Tool:
    command: tuple[str, ...]
    version: str


def find() -> Tool:
    """`docker compose`, else `docker-compose`. Raises `EnvironmentFailure` saying how to get one."""
    for command in TOOLS:
        try:
            told = subprocess.run(
                [*command, "version", "--short"], capture_output=True, text=True, timeout=20, check=True
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            continue
        return Tool(command, told)
    raise EnvironmentFailure(
        "neither `docker compose` nor `docker-compose` runs; install one (Debian: `apt-get install docker-compose`)"
    )


class Project:
    """One deployment, to Compose. `variables` are what the file leaves open; `overrides` are more files, if any."""

    def __init__(self, name: str, variables: Mapping[str, str], *overrides: Path) -> None:
        self.name = name
        self._variables = variables
        self._overrides = overrides
        self._tool: Tool | None = None

    async def create(self, scale: Mapping[str, int], profiles: Iterable[str]) -> None:
        """Make everything, and start nothing."""
        counts = [f"--scale={service}={count}" for service, count in scale.items()]
        await self._run([*_chosen(profiles), "up", "--no-start", "--no-build", "--force-recreate", *counts])

    async def _run(self, arguments: Sequence[str]) -> None:
        """Raises `EnvironmentFailure` with the point of what it said. Whoever is cancelled waits for its end."""
        if self._tool is None:
            self._tool = await asyncio.to_thread(find)
        chosen = [word for file in (project.compose_file(), *self._overrides) for word in ("--file", str(file))]
        command = [
            *self._tool.command,
            "--project-directory",
            str(project.root()),
            "--project-name",
            self.name,
            *chosen,
            *arguments,
        ]
        child = await asyncio.create_subprocess_exec(
            *command,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us, and we do not leave half of it
        )
        _, said = await asyncio.shield(start_task(child.communicate(), "compose"))
        if child.returncode:
            raise EnvironmentFailure(
                f"`{' '.join(self._tool.command)}` failed: {in_words(said.decode('utf-8', 'replace'))}"
            )

    def _environment(self) -> dict[str, str]:
        """Nothing of ours but what we say: a variable of the shell's would go before it, and so would a file `.env`."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WDM_", "COMPOSE_"))}
        return {**kept, "DOCKER_HOST": endpoint().host, TAG: self.name, **self._variables}


def _chosen(profiles: Iterable[str]) -> list[str]:
    return [word for profile in profiles for word in ("--profile", profile)]
