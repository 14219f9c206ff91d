"""Can this machine run a shop? Each check says what it found and, where something is missing, what to do."""

import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.runtimes.base import EnvironmentFailure
from harness.runtimes.local import valkey
from harness.runtimes.local.ports import why_taken
from harness.runtimes.local.spec import BUNDLED

LEAST_FILES = 4_096
LEAST_DISK_MB = 500


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """``missing`` stands in the way of the local runtime; ``absent`` only of something that is optional."""

    what: str
    state: Literal["ok", "absent", "missing"]
    found: str


def examine(port: int, folder: Path) -> list[Diagnosis]:
    """Every check, in a fixed order. ``port`` is the gateway's, ``folder`` where a deployment would live."""
    return [found for check in (_python, _store, _files, _disk(folder), _port(port), _docker) for found in check()]


def _python() -> Iterator[Diagnosis]:
    yield Diagnosis("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _store() -> Iterator[Diagnosis]:
    try:
        binary = valkey.find_binary(BUNDLED)
        yield Diagnosis("store", "ok", f"Valkey {valkey.version(binary)}, bundled")
    except EnvironmentFailure as error:
        yield Diagnosis("store", "missing", str(error))
    with suppress(EnvironmentFailure):
        binary = valkey.find_binary(valkey.ON_PATH)
        yield Diagnosis("store on PATH", "ok", f"{binary.name} {valkey.version(binary)} (--store-binary path)")


def _files() -> Iterator[Diagnosis]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= LEAST_FILES
    text = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    advice = "" if enough else f"; a thousand checkouts at once need {LEAST_FILES}: raise it with `ulimit -n`"
    yield Diagnosis("open files", "ok" if enough else "missing", text + advice)


def _disk(folder: Path) -> Callable[[], Iterator[Diagnosis]]:
    def check() -> Iterator[Diagnosis]:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free_mb = shutil.disk_usage(there).free // 2**20
        if not os.access(there, os.W_OK):
            yield Diagnosis("disk", "missing", f"{there} cannot be written; choose another --state-dir")
        elif free_mb < LEAST_DISK_MB:
            yield Diagnosis("disk", "missing", f"{free_mb} MB free in {there}; the stores' logs need {LEAST_DISK_MB}")
        else:
            yield Diagnosis("disk", "ok", f"{free_mb} MB free in {there}")

    return check


def _port(port: int) -> Callable[[], Iterator[Diagnosis]]:
    def check() -> Iterator[Diagnosis]:
        why = why_taken(port)
        if why is None:
            yield Diagnosis("port", "ok", f"{port} is free")
        else:
            yield Diagnosis("port", "absent", f"{port} is {why}: `wdm up` needs --port, or --port 0 for any free one")

    return check


def _docker() -> Iterator[Diagnosis]:
    """Asked only through the local socket that the environment names; nothing is started."""
    import docker  # noqa: PLC0415 - slow to import, and only this check needs it
    from docker.errors import DockerException  # noqa: PLC0415

    try:
        client = docker.from_env(timeout=3)
        try:
            yield Diagnosis("docker", "ok", f"engine {client.version()['Version']}")
        finally:
            client.close()
    except (DockerException, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        yield Diagnosis("docker", "absent", f"no engine answers ({reason}); the local runtime does not need one")
