"""What the engine has of ours: found by label, whoever made it and however that ended, and removed."""

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
from harness.runtimes.docker.engine_client import DEPLOYMENT, VOLATILE, connect, filters, told

SERVICE = "com.docker.compose.service"
USED = "containers"
"""In the user's folder: containers have been made."""
ASKED_WITHIN_S = 5.0
GONE = (404, 409)  # it is not there, or its removal is under way
NUMBER = "com.docker.compose.container-number"
INNER_PORT = "5000/tcp"
MANY = ("order", "stock", "payment")  # of these there may be several, so their containers are numbered
_STATES: dict[str, State] = {"running": "running", "restarting": "starting", "paused": "paused"}


def project(folder: Path, protocol: str = "") -> str:
    """What a folder's deployment is called, always, so that its volumes are found again. Without a protocol: how it begins."""
    return f"wdm-{sha256(str(folder).encode()).hexdigest()[:10]}-{protocol}"


def name_of(container: Any) -> str:
    """`order-1`, `stock-store`, `broker`, `gateway`: the node that this container of Compose's is."""
    service = str(container.labels[SERVICE])
    if service in BROKERS:
        return BROKER
    return f"{service}-{container.labels[NUMBER]}" if service in MANY else service


def published(container: Any, port: str = INNER_PORT) -> int:
    """The loopback port by which this machine reaches it; 0 if there is none, as for one that does not run."""
    bound = (container.attrs["NetworkSettings"]["Ports"] or {}).get(port) or []
    return int(bound[0]["HostPort"]) if bound else 0


def seen(tag: str, nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes of a deployment as the engine sees them now."""
    with closing(connect()) as client, told("the engine cannot list its containers"):
        found = {name_of(one): one for one in client.containers.list(all=True, filters=filters(deployment=tag))}
        return tuple(_as_seen(node, found.get(node.name)) for node in nodes)


def remove(tag: str, *, volumes: bool = False) -> list[str]:
    """Containers, networks and what is volatile of one deployment, or with `volumes` all of it. Names what was there."""
    with closing(connect()) as client:
        return list(_remove(client, tag, volumes))


def remove_all(begins: str = "", *, volumes: bool = False) -> list[str]:
    """The same for every deployment of this user whose name begins like this, known or not.

    What Compose was told to start by hand has no label of a user. Where no engine answers there is nothing to remove.
    """
    try:
        client = connect()
    except EnvironmentFailure:
        return []
    with closing(client):
        tags = [tag for tag in sorted(_tags(client)) if tag.startswith(begins)]
        return [name for tag in tags for name in _remove(client, tag, volumes)]


def note_use() -> None:
    """Whoever has never made a container needs no engine asked: see `abandoned`."""
    with suppress(OSError):  # a full disk
        (user_folder() / USED).touch()


def abandoned() -> dict[Path, str]:
    """What the engine has of this user's whose process has ended, in words by the folder that it was made for.

    Empty where no engine answers, or none was ever used.
    """
    if not (user_folder() / USED).exists():
        return {}
    with suppress(EnvironmentFailure), closing(connect(ASKED_WITHIN_S)) as client, told("the engine does not answer"):
        containers = client.containers.list(all=True, filters=filters(), ignore_removed=True)
        networks = client.networks.list(filters=filters())
        left = [one for one in (*containers, *networks) if owner.is_gone(_labels(one))]
        by_tag: dict[str, list[Any]] = {}
        for one in left:
            by_tag.setdefault(_labels(one)[DEPLOYMENT], []).append(one)
        return {Path(_labels(some[0])[owner.FOLDER]): _in_words(tag, some) for tag, some in by_tag.items()}
    return {}


# ---------------------------------------------------------------- inside


def _in_words(tag: str, left: list[Any]) -> str:
    states = [one.status for one in left if hasattr(one, "status")]
    paused = f", {states.count('paused')} of them paused," if "paused" in states else ""
    count = f"{len(states)} containers{paused} and {len(left) - len(states)} networks"
    return f"{count} of deployment {tag}, {owner.words(_labels(left[0]))}"


def _as_seen(node: Node, container: Any) -> Node:
    state = _STATES.get(container.status, "down") if container is not None else "down"
    if state == "down":
        return Node(node.name, node.kind, node.service, None, node.url, state)
    port = published(container) if node.kind == "service" else 0
    url = f"http://127.0.0.1:{port}" if port else node.url
    return Node(node.name, node.kind, node.service, container.attrs["State"]["Pid"], url, state)


def _tags(client: Any) -> set[str]:
    with told("the engine cannot list its objects"):
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
    """Somebody else may be removing the same: a watchdog, or another `wdm down`."""
    from docker.errors import APIError  # noqa: PLC0415 - slow to import, and only this runtime needs it

    try:
        yield
    except APIError as error:
        if error.status_code not in GONE:
            raise


def _remove(client: Any, tag: str, volumes: bool) -> Iterator[str]:
    mine = filters(deployment=tag)
    with told(f"the rest of deployment {tag} cannot be removed"):
        for container in client.containers.list(all=True, filters=mine, ignore_removed=True):
            yield f"container {container.name}"
            with _unless_gone():
                container.remove(force=True, v=True)  # with the volume that has no name, see `Container.tell`
        for network in client.networks.list(filters=mine):
            yield f"network {network.name}"
            with _unless_gone():
                network.remove()
        for volume in client.volumes.list(filters=mine):
            if volumes or _labels(volume).get(VOLATILE):
                yield f"volume {volume.name}"
                with _unless_gone():
                    volume.remove(force=True)
