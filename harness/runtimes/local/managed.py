"""Stores under Valkey's own managers, Sentinel and Valkey Cluster, in a deployment of processes: the port of a manager.

A manager knows all of its nodes before the first one starts: their addresses and roles are in files that are written before. So
nothing is discovered, and no command joins the nodes. The files are in the folders of the data, since they say who was primary.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Protocol

from harness.runtimes.deployment.plan import NodeSpec
from harness.runtimes.deployment.probe import Probe
from protocols.copies.managed import ManagedStore

HOST = "127.0.0.1"
NODE_TIMEOUT_MS = 500
"""The silence after which a manager suspects a node; our elector waits as long for an answer."""


@dataclass(frozen=True, slots=True)
class StoreServer:
    """A server of the plan, the `number`-th of its store, from 1. `data`: the folder of its data."""

    name: str
    store: str
    number: int
    port: int
    password: str
    data: Path

    @property
    def at(self) -> str:
        """Return the address, as managers write it."""
        return f"{HOST}:{self.port}"


class Manager(Protocol):
    """A manager of the copies of all stores of a deployment. `add` comes before every other method, for each server."""

    def add(self, server: StoreServer) -> None:
        """Add a server of a store."""

    def lines(self, server: StoreServer) -> str:
        """Return the further lines of the configuration of a server."""

    def prepare(self, server: StoreServer) -> None:
        """Write the further files of a server, before its first life."""

    def probe(self, server: StoreServer) -> Probe:
        """Return the probe of whether a server serves."""

    def managed(self, store: str) -> ManagedStore:
        """Return the way of a service to the primary of a store."""

    def nodes(self) -> Iterable[NodeSpec]:
        """Yield the further nodes, those of the manager itself."""


@dataclass(frozen=True, slots=True)
class Ground:
    """The parts of a plan that a manager uses.

    `shared`: variables of every process; `secret`: the secret of the deployment; `port` returns a free port; `data`: the folder
    of a node's data, by its name; `log`: its log; `write` writes a file that only its owner can read.
    """

    binary: Path
    shared: Mapping[str, str]
    secret: str
    port: Callable[[], int]
    data: Callable[[str], Path]
    log: Callable[[str], Path]
    write: Callable[[Path, str], None]


def node_id(name: str) -> str:
    """Return the id of a node at its manager, 40 hexadecimal digits, the same in every deployment."""
    return sha1(name.encode(), usedforsecurity=False).hexdigest()
