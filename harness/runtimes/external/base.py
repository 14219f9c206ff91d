"""The port of a node that somebody else has started, and its kind, guessed from its name."""

import re
from typing import Protocol

from harness.runtimes.base import Kind, Node

_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("broker", re.compile(r"rabbit|kafka|redpanda|\bnats\b|\bbroker\b|\bmq\b")),
    ("gateway", re.compile(r"nginx|gateway|haproxy|envoy|traefik|caddy")),
    ("store", re.compile(r"redis|valkey|postgres|mongo|mysql|mariadb|cassandra|etcd|\bdb\d*\b|\bstore\b|\bdatabase\b")),
)


class ForeignNode(Protocol):
    """A node that somebody else has started. Its methods, `node` apart, block; one thread at a time calls them.

    Each may raise `EnvironmentFailure`. An order that has no effect on the node in its present state is no error.
    """

    name: str

    def node(self) -> Node:
        """Return the node as it was last seen, at once. Any thread may call it."""

    def refresh(self) -> None:
        """Look at the node, which may have changed its process since the last look."""

    def kill(self) -> None:
        """End the node with SIGKILL, and all of its processes. Return once they are gone."""

    def pause(self) -> None:
        """Freeze the node. Returns once it is frozen."""

    def resume(self) -> None:
        """End the pause."""

    def disconnect(self) -> None:
        """Disconnect the node from its networks."""

    def reconnect(self) -> None:
        """Connect the node to the networks that `disconnect` took from it, with its former names and addresses."""

    def start(self) -> None:
        """Start the node if it is down, and return once it runs."""

    def rescue(self) -> tuple[str, ...]:
        """Return the arguments of `harness.runtimes.external.rescue` for this node, at once; empty without any."""

    def close(self) -> None:
        """Give up what this object holds. The node goes on as it is."""


def guess_kind(*names: str) -> Kind:
    """Return the kind of a node by its name, and by the name of its image if it has one; a service if none is known."""
    for name in names:
        words = re.sub(r"[^a-z0-9]+", " ", name.lower())
        for kind, pattern in _KINDS:
            if pattern.search(words):
                return kind
    return "service"
