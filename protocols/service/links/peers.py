"""The addresses to which a link without a broker sends: of a service, one instance after the other."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

PATH = "/internal/messages"
"""The path to which messages go, on the port of the service."""

SECRET = "x-wdm-secret"  # noqa: S105 - the header's name
"""The header with the secret that services share."""

PASS_OVER_S = 2.0
"""Seconds for which an instance that failed is passed over, while the service has another one."""


class Peer(Protocol):
    """What a link keeps of one address. `failed_s`: the time of the last failure, by the event loop's clock."""

    failed_s: float


P = TypeVar("P", bound=Peer)


class Peers(Generic[P]):
    """The peers of a process, made by `make(address)` when they are first needed.

    `instances` maps a service to the addresses of its instances. `routes` maps an instance's address to the one by which this
    process reaches it, where the two differ.
    """

    def __init__(
        self, instances: Mapping[str, Sequence[str]], routes: Mapping[str, str], make: Callable[[str], P]
    ) -> None:
        self._several = {service: len(addresses) for service, addresses in instances.items()}
        self._turns = {service: itertools.cycle(addresses) for service, addresses in instances.items()}
        self._routes = routes
        self._make = make
        self._known: dict[str, P] = {}

    def __iter__(self) -> Iterator[P]:
        return iter(self._known.values())

    def of(self, to: str) -> P:
        """Return the peer for a message to an address, or to a service: the next instance in turn.

        Instances whose request failed just now are passed over, as long as there is another one: a message to a dead instance
        would be lost and repeated much later, and its transaction would hold its locks until then.
        """
        if to not in self._turns:
            return self._at(to)
        now = asyncio.get_running_loop().time()
        peer = self._at(next(self._turns[to]))
        for _ in range(self._several[to] - 1):
            if now - peer.failed_s >= PASS_OVER_S:
                break
            peer = self._at(next(self._turns[to]))
        return peer

    def _at(self, address: str) -> P:
        peer = self._known.get(address)
        if peer is None:
            peer = self._known[address] = self._make(self._routes.get(address, address))
        return peer
