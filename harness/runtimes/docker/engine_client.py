"""The client of the Docker engine: the engine's address, a check of access, and its errors as one line each."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from harness.errors import EnvironmentFailure
from harness.runtimes.deployment.registry import user_folder

DEPLOYMENT, HOME, VOLATILE = "wdm.deployment", "wdm.home", "wdm.volatile"
"""Labels. An object without the first, or without this user's folder in the second, is never touched. A volatile volume
belongs to a run, and is removed with its containers."""
SOCKET = "unix:///var/run/docker.sock"
ANSWER_WITHIN_S = 60
CONNECT_WITHIN_S = 3.0
CONNECTIONS = 64  # a stream of output and one order under way for every container

_FULL = "the engine's disk is full: `docker system df` shows what takes it, `docker system prune` frees it"
_TAKEN = "a port is taken: choose another with --port, or --port 0 for any free one"
_ABSENT = "an image is absent: `wdm images build`, or `wdm images build --offline` without a registry"
_NO_ADDRESSES = "the engine has no network addresses left: `wdm down --all`, then `docker network prune`"
_KNOWN_ERRORS = {
    "no space left on device": _FULL,
    "port is already allocated": _TAKEN,
    "address already in use": _TAKEN,
    "no such image": _ABSENT,
    "non-overlapping ipv4": _NO_ADDRESSES,
    "all predefined address pools": _NO_ADDRESSES,
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The address of an engine. `context` is the name of a Docker context, or `DOCKER_HOST` for that variable."""

    context: str
    host: str
    tls: Any = None


def endpoint() -> Endpoint:
    """Return the engine's address: `DOCKER_HOST`, else the context in use, as for the `docker` command.

    Raises `EnvironmentFailure` for a context that does not exist or cannot be read.
    """
    host = os.environ.get("DOCKER_HOST")
    if host:
        return Endpoint("DOCKER_HOST", host)
    from docker.context import ContextAPI  # noqa: PLC0415 - slow to import, and only this runtime needs it
    from docker.errors import DockerException  # noqa: PLC0415

    name = os.environ.get("DOCKER_CONTEXT")
    try:
        context = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except DockerException as error:
        raise EnvironmentFailure(f"the Docker context cannot be read: {error}; see `docker context ls`") from None
    if context is None:
        raise EnvironmentFailure(f"there is no Docker context {name!r}; see `docker context ls`")
    return Endpoint(context.name, context.Host or SOCKET, context.TLSConfig)


def labels(deployment: str, *, volatile: bool) -> dict[str, str]:
    """Return the labels of the objects of a deployment."""
    return {DEPLOYMENT: deployment, HOME: str(user_folder()), VOLATILE: "yes" if volatile else ""}


def connect(timeout_s: float = ANSWER_WITHIN_S) -> Any:
    """Return a `docker.DockerClient`, to be closed. Raises `EnvironmentFailure` with the reason and the way out."""
    import docker  # noqa: PLC0415 - see above

    where = endpoint()
    _check_socket(where)
    with engine_errors("no Docker engine answers at " + where.host):
        if where.context == "DOCKER_HOST":
            return docker.from_env(timeout=timeout_s, max_pool_size=CONNECTIONS)
        return docker.DockerClient(where.host, tls=where.tls, timeout=timeout_s, max_pool_size=CONNECTIONS)


@contextmanager
def engine_errors(what: str) -> Iterator[None]:
    """Turn errors of the engine and of the connection into an `EnvironmentFailure` of one line that begins with `what`."""
    from docker.errors import DockerException  # noqa: PLC0415 - see above
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        yield
    except (DockerException, RequestException, OSError) as error:
        raise EnvironmentFailure(f"{what}: {error_line(str(getattr(error, 'explanation', None) or error))}") from error


def error_line(text: str) -> str:
    """Return one line for the error output of an engine or of Compose.

    The line of a known error names the way out; of another one it is the last that begins with `error`, or the last of all.
    """
    for sign, known_error in _KNOWN_ERRORS.items():
        if sign in text.lower():
            return known_error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pointed = [line for line in lines if line.lower().startswith("error")]
    return (pointed or lines or ["no error output"])[-1][:400]


def close_stream(stream: Any) -> None:
    """Close the socket of a stream, which the library leaves open when the stream has ended."""
    stream._response.close()  # noqa: SLF001


def _check_socket(where: Endpoint) -> None:
    """Connect to the engine's socket, for the usual errors, which the client library would wrap three times.

    Raises `EnvironmentFailure`.
    """
    parts = urlsplit(where.host)
    if parts.scheme != "unix":
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_WITHIN_S)
        try:
            probe.connect(parts.path)
        except PermissionError:
            raise EnvironmentFailure(
                f"the Docker engine at {where.host} may not be used by this user; join its group with"
                " `sudo usermod -aG docker $USER`, then log in again"
            ) from None
        except OSError as error:
            raise EnvironmentFailure(
                f"no Docker engine answers at {where.host} ({error.strerror or error}); install it (Debian: `apt-get install"
                " docker.io docker-compose iptables`) and start it, or choose another with DOCKER_HOST or `docker context use`"
            ) from None


def filters(**wanted: str) -> Mapping[str, list[str]]:
    """Return the filters of a listing: this user's objects with these values of labels (`deployment="..."`)."""
    chosen = [f"{HOME}={user_folder()}", *(f"wdm.{name}={value}" for name, value in wanted.items())]
    return {"label": chosen}
