"""The nodes that are containers of a Compose project which somebody else has started.

An engine never restarts a container that was killed through its interface, whatever the restart policy, so `start` does.
"""

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Node, State
from harness.runtimes.docker.container import order_to
from harness.runtimes.docker.engine_client import connect, engine_errors
from harness.runtimes.docker.resources import NUMBER, SERVICE, STATES
from harness.runtimes.external.base import guess_kind

PROJECT = "com.docker.compose.project"
FILES = f"{PROJECT}.config_files"
FOLDER = f"{PROJECT}.working_dir"
ONE_OFF = "com.docker.compose.oneoff"
FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
LISTED_FOR_S = 0.2
RUNS_WITHIN_S = 10.0
POLL_S = 0.1
NO_NETWORKS = ("host", "none")
OWN_SUBNET = "user configured subnets"
"""The end of the engine's error for an address on a network whose subnet the engine has chosen."""


def compose_nodes(value: str) -> "list[ContainerNode]":
    """Return the containers of a project that run. `value`: a Compose file, a folder with one, or the project's name.

    A container that has ended before, as a job for the first start, is none of them. Raises `EnvironmentFailure` without an
    engine, for an unknown project (naming those that exist) and for one of which nothing runs.
    """
    client = connect()
    try:
        project = ComposeProject(client, project_name(value, _summaries(client, PROJECT)))
        running = project.running()
    except BaseException:
        client.close()
        raise
    counts = Counter(_label(summary, SERVICE) for summary in running)
    return [ContainerNode(project, summary, numbered=counts[_label(summary, SERVICE)] > 1) for summary in running]


class ComposeProject:
    """A project of Compose, with the last listing of its containers, which its nodes share."""

    def __init__(self, client: Any, name: str) -> None:
        self.client = client
        self._name = name
        self._lock = threading.Lock()
        self._listed_s = float("-inf")
        self._listing: Mapping[tuple[str, str], Mapping[str, Any]] = {}

    def containers(self) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """Return the engine's summary of each container, by service and number. Raises `EnvironmentFailure`."""
        with self._lock:
            if time.monotonic() > self._listed_s + LISTED_FOR_S:
                found = _summaries(self.client, f"{PROJECT}={self._name}")
                self._listing = {(_label(one, SERVICE), _label(one, NUMBER)): one for one in found}
                self._listed_s = time.monotonic()
            return self._listing

    def running(self) -> list[Mapping[str, Any]]:
        """Return the summaries of the containers that run, by service and number. Raises `EnvironmentFailure` without one."""
        running = [one for one in self.containers().values() if _state(one) != "down" and not _is_one_off(one)]
        if not running:
            raise EnvironmentFailure(
                f"no container of the Compose project {self._name!r} runs; start it with `docker compose up -d`"
            )
        return sorted(running, key=lambda summary: (_label(summary, SERVICE), int(_label(summary, NUMBER) or 0)))

    def changed(self) -> None:
        """List the containers anew at the next look."""
        with self._lock:
            self._listed_s = float("-inf")


class ContainerNode:
    """A container of a Compose project, by its service and number: it may be made anew under the same ones."""

    def __init__(self, project: ComposeProject, summary: Mapping[str, Any], *, numbered: bool) -> None:
        self._project = project
        self._service, number = _label(summary, SERVICE), _label(summary, NUMBER)
        self._key = self._service, number
        self.name = f"{self._service}-{number}" if numbered else self._service
        image = str(summary.get("Image", "")).rpartition("/")[2].partition(":")[0]
        self._kind = guess_kind(self._service, image)
        self._id = str(summary["Id"])
        self._state: State = _state(summary)
        self._taken_off: list[tuple[str, Mapping[str, Any]]] = []

    def node(self) -> Node:
        return Node(self.name, self._kind, self._service, None, "", self._state)

    def refresh(self) -> None:
        summary = self._project.containers().get(self._key)
        self._state = "down" if summary is None else _state(summary)
        self._id = self._id if summary is None else str(summary["Id"])

    def kill(self) -> None:
        self._order("kill", "SIGKILL")

    def pause(self) -> None:
        self._order("pause")

    def resume(self) -> None:
        self.refresh()
        if self._state == "paused":
            self._order("unpause")

    def start(self) -> None:
        self._project.changed()
        self.refresh()
        if self._state == "down":
            self._order("start")
        deadline = time.monotonic() + RUNS_WITHIN_S
        while self._state in ("starting", "down"):
            if time.monotonic() > deadline:
                raise EnvironmentFailure(
                    f"{self.name} does not come back within {RUNS_WITHIN_S:g} s after its start; see its log with"
                    f" `docker logs {self._handle().name}`"
                )
            time.sleep(POLL_S)
            self._project.changed()
            self.refresh()

    def disconnect(self) -> None:
        handle = self._handle()
        networks = {name: one for name, one in _networks(handle).items() if name not in NO_NETWORKS}
        if not networks and not self._taken_off:
            raise EnvironmentFailure(f"{self.name} cannot be disconnected: its container has no network of its own")
        for name, endpoint in networks.items():
            with engine_errors(f"{self.name} cannot be disconnected from {name}"):
                network = self._project.client.networks.get(endpoint["NetworkID"])
                # Noted first: a call that fails, or an answer that is lost, may have had its effect.
                self._taken_off.append((name, endpoint))
                network.disconnect(handle)

    def reconnect(self) -> None:
        while self._taken_off:
            name, endpoint = self._taken_off[-1]
            handle = self._handle()
            if name not in _networks(handle):
                with engine_errors(f"{self.name} cannot be connected to {name} again"):
                    _connect(self._project.client.networks.get(endpoint["NetworkID"]), handle, endpoint)
            self._taken_off.pop()

    def rescue(self) -> tuple[str, ...]:
        return "container", self._id

    def close(self) -> None:
        self._project.client.close()

    # ------------------------------------------------------------ inside

    def _order(self, what: str, *arguments: str) -> None:
        try:
            order_to(self._handle(), what, *arguments)
        finally:
            self._project.changed()

    def _handle(self) -> Any:
        """Return the container with its present attributes. Raises `EnvironmentFailure` if it exists no more."""
        summary = self._project.containers().get(self._key)
        if summary is None:
            raise EnvironmentFailure(f"{self.name}: its container was removed meanwhile")
        with engine_errors(f"{self.name}: its container cannot be looked at"):
            return self._project.client.containers.get(summary["Id"])


# ---------------------------------------------------------------- the engine's objects


def _summaries(client: Any, label: str) -> list[Mapping[str, Any]]:
    with engine_errors("the engine cannot list its containers"):
        return [one.attrs for one in client.containers.list(all=True, filters={"label": [label]}, sparse=True)]


def _label(summary: Mapping[str, Any], name: str) -> str:
    return str((summary.get("Labels") or {}).get(name, ""))


def _state(summary: Mapping[str, Any]) -> State:
    return STATES.get(str(summary["State"]), "down")


def _is_one_off(summary: Mapping[str, Any]) -> bool:
    return _label(summary, ONE_OFF).lower() == "true"


def _networks(handle: Any) -> Mapping[str, Mapping[str, Any]]:
    return handle.attrs["NetworkSettings"]["Networks"] or {}


def _connect(network: Any, handle: Any, endpoint: Mapping[str, Any]) -> None:
    """Connect a container with its former names, and with its former address where the engine allows to choose one."""
    from docker.errors import APIError  # noqa: PLC0415 - slow to import, and only containers need it

    # The engine adds the beginning of the container's id by itself, and allows no name on its default network.
    aliases = [name for name in endpoint.get("Aliases") or [] if name != handle.id[:12]] or None
    address = (endpoint.get("IPAMConfig") or {}).get("IPv4Address") or endpoint.get("IPAddress") or None
    try:
        network.connect(handle, aliases=aliases, ipv4_address=address)
    except APIError as error:
        if OWN_SUBNET not in str(error):
            raise
        network.connect(handle, aliases=aliases)


# ---------------------------------------------------------------- the name of a project


def project_name(value: str, summaries: Iterable[Mapping[str, Any]]) -> str:
    """Return the project of a file, a folder or a name. `summaries`: the engine's, of the containers of every project.

    Raises `EnvironmentFailure` for an unknown project.
    """
    known = {name: one for one in summaries if (name := _label(one, PROJECT))}
    path = Path(value)
    file = next((path / name for name in FILE_NAMES if (path / name).is_file()), path)
    if file.is_file() and value not in known:
        made_from = [name for name, one in known.items() if file.resolve() in _files(one)]
        name = _computed_name(file)
        if name not in made_from and len(made_from) > 1:
            there = ", ".join(made_from)
            raise EnvironmentFailure(f"--compose {value}: several projects are made from it; name one of: {there}")
        if name not in made_from and made_from:
            name = made_from[0]
    else:
        name = value
    if name not in known:
        there = (
            f"the projects are: {', '.join(sorted(known))}" if known else "the engine has no container of any project"
        )
        raise EnvironmentFailure(f"--compose {value}: no project {name!r}; {there}")
    return name


def _files(summary: Mapping[str, Any]) -> set[Path]:
    """Return the Compose files that a container was made from."""
    folder = Path(_label(summary, FOLDER) or "/")
    return {(folder / name).resolve() for name in _label(summary, FILES).split(",") if name}


def _computed_name(file: Path) -> str:
    """Return the name that Compose gives to the project of a file.

    Source: https://docs.docker.com/compose/how-tos/project-name/.
    """
    folder = file.resolve().parent
    given = os.environ.get("COMPOSE_PROJECT_NAME") or _value(folder / ".env", r"^COMPOSE_PROJECT_NAME=(.+)$")
    return given or _value(file, r"^name:(.+)$") or re.sub(r"[^a-z0-9_-]", "", folder.name.lower()).lstrip("_-")


def _value(file: Path, pattern: str) -> str:
    with suppress(OSError, UnicodeDecodeError):
        if match := re.search(pattern, file.read_text("utf-8"), re.MULTILINE):
            return re.sub(r"\s+#.*", "", match[1]).strip().strip("\"'")
    return ""
