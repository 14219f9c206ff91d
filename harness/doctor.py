"""The checks of `wdm doctor`: each requirement of a shop on this machine, and for a missing one the way out."""

import os
import platform
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment import valkey
from harness.runtimes.deployment.ports import why_taken
from harness.runtimes.deployment.spec import BUNDLED
from harness.runtimes.local.brokers import BROKERS
from protocols.service.links import TRANSPORTS

LEAST_FILES = 4_096
LEAST_DISK_MB = 500
LEAST_ENGINE_DISK_MB = 1_500


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One requirement: `missing` if the local runtime cannot work without it, `absent` if it is optional.

    `found` is the version, the figure or the way out, in words.
    """

    what: str
    state: Literal["ok", "absent", "missing"]
    found: str


def examine(port: int, folder: Path) -> list[Diagnosis]:
    """Run all checks, in a fixed order. `port` is that of the gateway, `folder` the state folder of a deployment."""
    checks = (_python, _store, _brokers, _files, _disk(folder), _port(port), _docker)
    return [diagnosis for check in checks for diagnosis in check()]


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


def _brokers() -> Iterator[Diagnosis]:
    """Check for each transport with a broker: the broker, and the client library."""
    for transport in TRANSPORTS.values():
        if not transport.broker:
            continue
        what = f"transport {transport.name}"
        try:
            broker, missing = BROKERS[transport.broker].find(), transport.missing()
            yield Diagnosis(what, "absent" if missing else "ok", missing or broker)
        except EnvironmentFailure as failure:
            yield Diagnosis(what, "absent", str(failure))


def _files() -> Iterator[Diagnosis]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard == resource.RLIM_INFINITY or hard >= LEAST_FILES
    text = "unlimited" if hard == resource.RLIM_INFINITY else str(hard)
    advice = "" if enough else f"; a thousand checkouts at once need {LEAST_FILES}: raise it with `ulimit -n`"
    yield Diagnosis("open files", "ok" if enough else "missing", text + advice)


def _disk(folder: Path) -> Callable[[], Iterator[Diagnosis]]:
    def check() -> Iterator[Diagnosis]:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        free_mb = shutil.disk_usage(existing).free // 2**20
        if not os.access(existing, os.W_OK):
            yield Diagnosis("disk", "missing", f"{existing} cannot be written; choose another --state-dir")
        elif free_mb < LEAST_DISK_MB:
            yield Diagnosis(
                "disk", "missing", f"{free_mb} MB free in {existing}; the stores' logs need {LEAST_DISK_MB}"
            )
        else:
            yield Diagnosis("disk", "ok", f"{free_mb} MB free in {existing}")

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
    """Check the engine at the socket that the environment names. No container is started, no image pulled."""
    from harness.runtimes.docker import compose, engine_client, images  # noqa: PLC0415 - only where there is an engine

    try:
        endpoint = engine_client.endpoint()
        with (
            closing(engine_client.connect(timeout_s=5)) as client,
            engine_client.engine_errors("the engine does not answer"),
        ):
            about = client.info()
            engine = f"engine {about['ServerVersion']}, context {endpoint.context} at {endpoint.host}"
            yield Diagnosis(
                "docker", "ok", f"{engine}, {about['MemTotal'] // 2**20} MB of memory, {about['NCPU']} cores"
            )
            yield from _engine_disk(Path(about["DockerRootDir"]))
            yield from _able("images", lambda: f"{', '.join(images.choose(client).values())}, made of these sources")
    except EnvironmentFailure as error:
        yield Diagnosis("docker", "absent", f"{error}; the local runtime needs none")
        return
    yield from _able("compose", lambda: f"`{' '.join(compose.find().command)}` {compose.find().version}")


def _engine_disk(root: Path) -> Iterator[Diagnosis]:
    """Check the disk of the engine, if it is on this machine."""
    with suppress(OSError):
        free_mb = shutil.disk_usage(root).free // 2**20
        enough = free_mb >= LEAST_ENGINE_DISK_MB
        advice = "" if enough else f"; images and data need {LEAST_ENGINE_DISK_MB}: `docker system prune`"
        yield Diagnosis("docker disk", "ok" if enough else "absent", f"{free_mb} MB free in {root}{advice}")


def _able(what: str, describe: Callable[[], str]) -> Iterator[Diagnosis]:
    try:
        yield Diagnosis(what, "ok", describe())
    except EnvironmentFailure as error:
        yield Diagnosis(what, "absent", str(error))
