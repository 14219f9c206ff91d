"""A TCP proxy for every directed link between nodes of a deployment, in which the faults of the network happen.

A cut stalls connections: the proxy reads no byte and notices no end. The kernel accepts new connections all the same; they are
connected to the node after the heal, unless their client has closed them by then.
"""

import asyncio
from collections.abc import Hashable, Iterable
from random import Random

from harness.runtimes.base import LinkId, Rule
from harness.runtimes.network.proxied_link import ProxiedLink
from harness.runtimes.network.shaping import Shape

LOOPBACK = "127.0.0.1"
CLOSED_WITHIN_S = 1.0


class Proxy:
    """All links of a deployment: `add` them, `start`, then put rules on them. A `LinkNetwork`."""

    def __init__(self) -> None:
        self._links: dict[LinkId, ProxiedLink] = {}

    @property
    def link_ids(self) -> tuple[LinkId, ...]:
        return tuple(self._links)

    def add(self, source: str, to: str, port: int, host: str = LOOPBACK, at: tuple[str, int] = (LOOPBACK, 0)) -> int:
        """Add a link to a port of `host`, with a listener at `at`; return the listener's port. Raises `OSError`."""
        link = self._links[source, to] = ProxiedLink((host, port), at)
        return link.port

    async def start(self) -> None:
        for link in self._links.values():
            await link.start()

    async def stop(self) -> None:
        """Close every listener and every connection, and wait for their ends for at most `CLOSED_WITHIN_S`."""
        for link in self._links.values():
            link.stop()
        deadline = asyncio.get_running_loop().time() + CLOSED_WITHIN_S
        while any(link.flows for link in self._links.values()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0)  # the loop calls `connection_lost` of an aborted transport at its next turn

    def apply_rule(self, by: Hashable, link_ids: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        """Put a rule on links, owned by `by`, in place of its former one. Raises `KeyError` for an unknown link."""
        for link_id in link_ids:
            self._links[link_id].shapes[by] = Shape(rule, rng)
            self._links[link_id].reshaped()

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        """Remove every rule of the owner `by`; with `reset`, reset the connections of its links."""
        for link in self._links.values():
            if link.shapes.pop(by, None) is not None:
                if reset:
                    link.reset_all()
                link.reshaped()

    async def settled(self) -> None:
        """Return: every rule takes effect at once."""

    def remove_all_rules(self) -> None:
        """Remove every rule."""
        for link in self._links.values():
            if link.shapes:
                link.shapes.clear()
                link.reshaped()
