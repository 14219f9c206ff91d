"""Compose: it makes the containers, networks and volumes of `docker-compose.yml`, and has no other task."""

import asyncio
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.process import TAG
from harness.runtimes.docker import project
from harness.runtimes.docker.engine_client import endpoint, error_line
from protocols.service.tasks import start_task

TOOLS = (("docker", "compose"), ("docker-compose",))
OVERRIDE = "compose.json"
"""The second file of a deployment, in its folder."""
LINKS = "links"
"""The profile of the proxy of the links, and its only service."""


@dataclass(frozen=True, slots=True)
class Tool:
    """The Compose tool of this machine: its command's words and its version."""

    command: tuple[str, ...]
    version: str


def find() -> Tool:
    """Return `docker compose`, else `docker-compose`. Raises `EnvironmentFailure` naming the way to install one."""
    for command in TOOLS:
        try:
            version = subprocess.run(
                [*command, "version", "--short"], capture_output=True, text=True, timeout=20, check=True
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            continue
        return Tool(command, version)
    raise EnvironmentFailure(
        "neither `docker compose` nor `docker-compose` runs; install one (Debian: `apt-get install docker-compose`)"
    )


class Project:
    """One deployment as a project of Compose. `variables`: the values of the file's variables; `overrides`: further files."""

    def __init__(self, name: str, variables: Mapping[str, str], *overrides: Path) -> None:
        self.name = name
        self._variables = variables
        self._overrides = overrides
        self._tool: Tool | None = None

    async def create(self, scale: Mapping[str, int], profiles: Iterable[str]) -> None:
        """Make every container, network and volume, and start none. Raises `EnvironmentFailure`.

        `scale`: the number of containers of a service; `profiles`: the profiles besides the default one.
        """
        counts = [f"--scale={service}={count}" for service, count in scale.items()]
        await self._run([*_chosen(profiles), "up", "--no-start", "--no-build", "--force-recreate", *counts])

    async def _run(self, arguments: Sequence[str]) -> None:
        """Run Compose to its end, also when cancelled. Raises `EnvironmentFailure` with the point of its error output."""
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
            start_new_session=True,  # a Ctrl-C is for this process: Compose would end half-way, with containers left
        )
        _, errors = await asyncio.shield(start_task(child.communicate(), "compose"))
        if child.returncode:
            raise EnvironmentFailure(
                f"`{' '.join(self._tool.command)}` failed: {error_line(errors.decode('utf-8', 'replace'))}"
            )

    def _environment(self) -> dict[str, str]:
        """Return the environment without the shell's `WDM_` and `COMPOSE_` variables, which would replace this project's."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WDM_", "COMPOSE_"))}
        return {**kept, "DOCKER_HOST": endpoint().host, TAG: self.name, **self._variables}


def _chosen(profiles: Iterable[str]) -> list[str]:
    return [word for profile in profiles for word in ("--profile", profile)]
