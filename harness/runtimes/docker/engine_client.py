"""The Docker engine: which one is meant, whether it may be used, and its errors as one line each."""

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
"""Labels. Without the first, and the second naming this user's folder, nothing is ever touched. What is volatile is a run's:
its data goes with it."""
SOCKET = "unix:///var/run/docker.sock"
ANSWER_WITHIN_S = 60
CONNECT_WITHIN_S = 3.0
CONNECTIONS = 64  # a stream of words and one order under way for every container

_FULL = "the engine's disk is full: `docker system df` shows what takes it, `docker system prune` frees it"
_TAKEN = "a port is taken: choose another with --port, or --port 0 for any free one"
_ABSENT = "an image is absent: `wdm images build`, or `wdm images build --offline` without a registry"
_NO_ADDRESSES = "the engine has no network addresses left: `wdm down --all`, then `docker network prune`"
_MEANT = {
    "no space left on device": _FULL,
    "port is already allocated": _TAKEN,
    "address already in use": _TAKEN,
    "no such image": _ABSENT,
    "non-overlapping ipv4": _NO_ADDRESSES,
    "all predefined address pools": _NO_ADDRESSES,
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`context` is the name of a Docker context, or says that a variable chose the host."""

    context: str
    host: str
    tls: Any = None


def endpoint() -> Endpoint:
    """Where the engine is: `DOCKER_HOST`, else the context that is in use, as for the `docker` command."""
    host = os.environ.get("DOCKER_HOST")
    if host:
        return Endpoint("DOCKER_HOST", host)
    from docker.context import ContextAPI  # noqa: PLC0415 - slow to import, and only this runtime needs it
    from docker.errors import DockerException  # noqa: PLC0415

    name = os.environ.get("DOCKER_CONTEXT")
    try:
        found = ContextAPI.get_context(name) if name else ContextAPI.get_current_context()
    except DockerException as error:
        raise EnvironmentFailure(f"the Docker context cannot be read: {error}; see `docker context ls`") from None
    if found is None:
        raise EnvironmentFailure(f"there is no Docker context {name!r}; see `docker context ls`")
    return Endpoint(found.name, found.Host or SOCKET, found.TLSConfig)


def labels(deployment: str, *, volatile: bool) -> dict[str, str]:
    return {DEPLOYMENT: deployment, HOME: str(user_folder()), VOLATILE: "yes" if volatile else ""}


def connect(timeout_s: float = ANSWER_WITHIN_S) -> Any:
    """A `docker.DockerClient`; close it. Raises `EnvironmentFailure` saying why there is none and what to do."""
    import docker  # noqa: PLC0415 - see above

    there = endpoint()
    _knock(there)
    with told("no Docker engine answers at " + there.host):
        if there.context == "DOCKER_HOST":
            return docker.from_env(timeout=timeout_s, max_pool_size=CONNECTIONS)
        return docker.DockerClient(there.host, tls=there.tls, timeout=timeout_s, max_pool_size=CONNECTIONS)


@contextmanager
def told(what: str) -> Iterator[None]:
    """What the engine or the way to it raises, as an `EnvironmentFailure` of one line that begins with `what`."""
    from docker.errors import DockerException  # noqa: PLC0415 - see above
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        yield
    except (DockerException, RequestException, OSError) as error:
        raise EnvironmentFailure(f"{what}: {in_words(str(getattr(error, 'explanation', None) or error))}") from error


def in_words(text: str) -> str:
    """What an engine or Compose said, as one line: what we know of, with the way out; else what seems to be the point."""
    for sign, words in _MEANT.items():
        if sign in text.lower():
            return words
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pointed = [line for line in lines if line.lower().startswith("error")]
    return (pointed or lines or ["it said nothing"])[-1][:400]


def close_stream(stream: Any) -> None:
    """The library itself leaves a stream's socket open when the stream has ended."""
    stream._response.close()  # noqa: SLF001


def _knock(there: Endpoint) -> None:
    """The usual reasons, which the client library would wrap three times."""
    parts = urlsplit(there.host)
    if parts.scheme != "unix":
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(CONNECT_WITHIN_S)
        try:
            probe.connect(parts.path)
        except PermissionError:
            raise EnvironmentFailure(
                f"the Docker engine at {there.host} may not be used by this user; join its group with"
                " `sudo usermod -aG docker $USER`, then log in again"
            ) from None
        except OSError as error:
            raise EnvironmentFailure(
                f"no Docker engine answers at {there.host} ({error.strerror or error}); install it (Debian: `apt-get install"
                " docker.io docker-compose iptables`) and start it, or choose another with DOCKER_HOST or `docker context use`"
            ) from None


def filters(**wanted: str) -> Mapping[str, list[str]]:
    """For a listing: this user's things, with these values of labels as well (`deployment="..."`)."""
    chosen = [f"{HOME}={user_folder()}", *(f"wdm.{name}={value}" for name, value in wanted.items())]
    return {"label": chosen}
