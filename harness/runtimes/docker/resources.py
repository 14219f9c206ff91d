"""The engine's objects of this user: listed by their labels, and removed, also those of killed processes."""

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Node, State
from harness.runtimes.deployment.plan import BROKER
from harness.runtimes.deployment.registry import user_folder
from harness.runtimes.docker import owner
from harness.runtimes.docker.brokers import BROKERS
from harness.runtimes.docker.engine_client import DEPLOYMENT, VOLATILE, connect, engine_errors, filters
from harness.runtimes.docker.gateways import drain_signal

SERVICE = "com.docker.compose.service"
USED = "containers"
"""A file in the user's folder: it exists once containers have been made."""
ANSWER_WITHIN_S = 5.0
GONE = (404, 409)  # the object does not exist, or its removal is under way
NUMBER = "com.docker.compose.container-number"
INNER_PORT = "5000/tcp"
MANY = ("order", "stock", "payment")  # services with one container or more, which are numbered
STATES: dict[str, State] = {"running": "running", "restarting": "starting", "paused": "paused"}


def project(folder: Path, protocol: str = "") -> str:
    """Return the name of a folder's deployment, always the same, so that its volumes are found again.

    Without a protocol: the beginning of that name.
    """
    return f"wdm-{sha256(str(folder).encode()).hexdigest()[:10]}-{protocol}"


def name_of(container: Any) -> str:
    """Return the node of a container: `order-1`, `stock-store`, `broker`, `gateway`."""
    service = str(container.labels[SERVICE])
    if service in BROKERS:
        return BROKER
    return f"{service}-{container.labels[NUMBER]}" if service in MANY else service


def published(container: Any, port: str = INNER_PORT) -> int:
    """Return the loopback port for a port of a container; 0 if there is none, as for a container that does not run."""
    bound = (container.attrs["NetworkSettings"]["Ports"] or {}).get(port) or []
    return int(bound[0]["HostPort"]) if bound else 0


def seen(tag: str, nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Return the nodes of a deployment with their present states. Raises `EnvironmentFailure`."""
    with closing(connect()) as client, engine_errors("the engine cannot list its containers"):
        containers = client.containers.list(all=True, filters=filters(deployment=tag))
        by_name = {name_of(container): container for container in containers}
        return tuple(_current_node(node, by_name.get(node.name)) for node in nodes)


def terminate(tag: str, name: str) -> None:
    """Send a container the signal for its regular end. Raises `EnvironmentFailure`."""
    with closing(connect()) as client, engine_errors(f"{name} cannot be terminated"):
        for container in client.containers.list(filters=filters(deployment=tag)):
            if name_of(container) == name:
                with _unless_gone():
                    container.kill(drain_signal(name))


def remove(tag: str, *, volumes: bool = False) -> list[str]:
    """Remove the containers, networks and volatile volumes of one deployment, with `volumes` all volumes; return their names.

    Raises `EnvironmentFailure`.
    """
    with closing(connect()) as client:
        return list(_remove(client, tag, volumes))


def remove_all(begins: str = "", *, volumes: bool = False) -> list[str]:
    """Remove the same of every deployment of this user whose name begins like this, known or not; return the names.

    Containers that a user started by hand with Compose have no label of a user, and stay. Without an engine the list is empty.
    """
    try:
        client = connect()
    except EnvironmentFailure:
        return []
    with closing(client):
        tags = [tag for tag in sorted(_tags(client)) if tag.startswith(begins)]
        return [name for tag in tags for name in _remove(client, tag, volumes)]


def record_use() -> None:
    """Record that this user has made containers: without that, `abandoned` never calls an engine."""
    with suppress(OSError):  # a full disk
        (user_folder() / USED).touch()


def abandoned() -> dict[Path, str]:
    """Return this user's objects whose process has ended, as a phrase by the folder of their deployment.

    Empty where no engine answers, or none was ever used.
    """
    if not (user_folder() / USED).exists():
        return {}
    with (
        suppress(EnvironmentFailure),
        closing(connect(ANSWER_WITHIN_S)) as client,
        engine_errors("the engine does not answer"),
    ):
        containers = client.containers.list(all=True, filters=filters(), ignore_removed=True)
        networks = client.networks.list(filters=filters())
        left = [thing for thing in (*containers, *networks) if owner.is_gone(_labels(thing))]
        by_tag: dict[str, list[Any]] = {}
        for thing in left:
            by_tag.setdefault(_labels(thing)[DEPLOYMENT], []).append(thing)
        return {Path(_labels(some[0])[owner.FOLDER]): _describe(tag, some) for tag, some in by_tag.items()}
    return {}


# ---------------------------------------------------------------- inside


def _describe(tag: str, left: list[Any]) -> str:
    states = [thing.status for thing in left if hasattr(thing, "status")]
    paused = f", {states.count('paused')} of them paused," if "paused" in states else ""
    count = f"{len(states)} containers{paused} and {len(left) - len(states)} networks"
    return f"{count} of deployment {tag}, {owner.describe(_labels(left[0]))}"


def _current_node(node: Node, container: Any) -> Node:
    state = STATES.get(container.status, "down") if container is not None else "down"
    if state == "down":
        return Node(node.name, node.kind, node.service, None, node.url, state)
    port = published(container) if node.kind in ("service", "elector") else 0
    url = f"http://127.0.0.1:{port}" if port else node.url
    return Node(node.name, node.kind, node.service, container.attrs["State"]["Pid"], url, state)


def _tags(client: Any) -> set[str]:
    with engine_errors("the engine cannot list its objects"):
        things = [
            *client.containers.list(all=True, filters=filters(), ignore_removed=True),
            *client.networks.list(filters=filters()),
            *client.volumes.list(filters=filters()),
        ]
        return {tag for thing in things if (tag := _labels(thing).get(DEPLOYMENT))}


def _labels(thing: Any) -> dict[str, str]:
    return thing.attrs.get("Labels") or thing.attrs.get("Config", {}).get("Labels") or {}


@contextmanager
def _unless_gone() -> Iterator[None]:
    """Ignore the absence of an object: a watchdog or another `wdm down` may be removing the same."""
    from docker.errors import APIError  # noqa: PLC0415 - slow to import, and only this runtime needs it

    try:
        yield
    except APIError as error:
        if error.status_code not in GONE:
            raise


def _remove(client: Any, tag: str, volumes: bool) -> Iterator[str]:
    mine = filters(deployment=tag)
    with engine_errors(f"the rest of deployment {tag} cannot be removed"):
        for container in client.containers.list(all=True, filters=mine, ignore_removed=True):
            yield f"container {container.name}"
            with _unless_gone():
                container.remove(force=True, v=True)  # with its volume without a name, see `Planner.override`
        for network in client.networks.list(filters=mine):
            yield f"network {network.name}"
            with _unless_gone():
                network.remove()
        for volume in client.volumes.list(filters=mine):
            if volumes or _labels(volume).get(VOLATILE):
                yield f"volume {volume.name}"
                with _unless_gone():
                    volume.remove(force=True)
