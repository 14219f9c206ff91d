"""A store whose primary is chosen by Valkey's own means: how a service finds it, and what the nodes of a manager answer."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from msgspec import Struct


class ManagedStore(Struct, frozen=True, forbid_unknown_fields=True):
    """A store whose primary is chosen by Valkey's own means: the JSON of `WDM_STORE_MANAGED`.

    `name` is the name of the store at the Sentinels. `servers` are its servers as `host:port`, as the manager calls them, in the
    order of the URLs by which this service reaches them. `sentinels` are URLs. All keys begin with `key_prefix`: the commands
    of a cluster's store have one hash tag.
    """

    kind: Literal["sentinel", "cluster"]
    name: str
    servers: tuple[str, ...]
    sentinels: tuple[str, ...] = ()
    key_prefix: str = ""


def sentinels_primary(answers: Iterable[Any]) -> str:
    """Return the `host:port` that most Sentinels name, of equally many the first; "" for none. An answer may be None."""
    named = Counter(f"{answer[0].decode()}:{int(answer[1])}" for answer in answers if answer)
    return named.most_common(1)[0][0] if named else ""


def cluster_primary(answers: Iterable[Any], servers: Iterable[str]) -> str:
    """Return that of the `servers` which owns slots in the largest configuration epoch; "" for none. An answer may be None."""
    own = set(servers)
    owners = [
        (node.epoch, node.address)
        for answer in answers
        if answer
        for node in cluster_nodes(answer.decode())
        if node.primary and node.slots and node.address in own
    ]
    return max(owners)[1] if owners else ""


class ClusterNode(Struct, frozen=True):
    """One line of `CLUSTER NODES`. `address` is `host:port`."""

    id: str
    address: str
    primary: bool
    follows: str
    epoch: int
    slots: bool


def cluster_nodes(text: str) -> Iterator[ClusterNode]:
    """Parse the answer to `CLUSTER NODES`."""
    for line in text.splitlines():
        name, at, flags, follows, _, _, epoch, _, *slots = line.split()
        yield ClusterNode(name, at.partition("@")[0], "master" in flags.split(","), follows, int(epoch), bool(slots))
