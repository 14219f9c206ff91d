"""The network between containers: every link goes through the proxy of `links.py`, and a cut is a real one where it can be.

A rule is carried out by the proxy. If it is a cut, and all that a node says over one of its networks is cut, the node is
disconnected from that network as well, by the engine: its interface is gone until the end of the cut, and so is every packet.
What cannot be cut like this (one direction only, one of several workers) is cut by the proxy alone.
"""

import asyncio
from collections.abc import Hashable, Iterable, Mapping
from random import Random
from typing import Any

import aiohttp
import msgspec

from harness.errors import EnvironmentFailure
from harness.runtimes.base import LinkId, Rule
from harness.runtimes.docker.engine_client import told
from harness.runtimes.docker.layout import Attachment, PlannedLink, serves_only
from harness.runtimes.docker.links import PATH, RuleOrder
from protocols.service.links.http import SECRET
from protocols.service.tasks import Background

ANSWER_WITHIN_S = 5.0
CARRIED_OUT_WITHIN_S = 20.0


def to_unplug(places: Iterable[Attachment], links: Iterable[PlannedLink], cut: set[LinkId]) -> set[Attachment]:
    """Who is to be disconnected from where, for these wires to be cut: only whose every wire on that network is.

    Of two that would do, the store or the broker rather than its service.
    """
    links = tuple(links)
    unplugged: set[Attachment] = set()
    covered: set[tuple[str, LinkId]] = set()
    for place in sorted(places, key=lambda place: not serves_only(place.node)):
        mine = {(one.network, one.wire) for one in links if one.network == place.network and place.node in one.wire}
        if mine and mine - covered and all(wire in cut for _, wire in mine):
            unplugged.add(place)
            covered |= mine
    return unplugged


class NetworkController:
    """A `Network` of a deployment that was made to be broken. What is asked of it takes effect in order, a little later."""

    def __init__(self, places: Iterable[Attachment], links: Iterable[PlannedLink], secret: str) -> None:
        self._places = tuple(places)
        self._links = tuple(links)
        self._headers = {SECRET: secret, "content-type": "application/json"}
        self._names: dict[Hashable, str] = {}
        self._cuts: dict[Hashable, set[LinkId]] = {}
        self._unplugged: set[Attachment] = set()
        self._orders: asyncio.Queue[tuple[RuleOrder, set[Attachment]]] = asyncio.Queue()
        self._trouble: list[str] = []
        self._tasks = Background(self._trouble.append)
        self._networks: Mapping[str, Any] = {}
        self._containers: Mapping[str, Any] = {}
        self.url = ""

    @property
    def wires(self) -> tuple[LinkId, ...]:
        return tuple(link.wire for link in self._links)

    def attached(self, networks: Mapping[str, Any], containers: Mapping[str, Any], url: str) -> None:
        """The engine's networks by our names, its containers by node, and where the proxy hears orders."""
        self._networks, self._containers, self.url = networks, containers, url

    async def start(self) -> None:
        self._tasks.keep(self._carry_out_all, "controller")

    async def stop(self) -> None:
        await self._tasks.stop()

    def apply_rule(self, by: Hashable, wires: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        meant = list(wires)
        if rule.cut:
            self._cuts[by] = set(meant)
        name = self._names.setdefault(by, str(len(self._names)))
        self._enter(RuleOrder(do="apply", by=name, wires=meant, rule=rule, seed=rng.getrandbits(64)))

    def remove_rules(self, by: Hashable, *, reset: bool = False) -> None:
        self._cuts.pop(by, None)
        if by in self._names:
            self._enter(RuleOrder(do="remove", by=self._names[by], reset=reset))

    def remove_all_rules(self) -> None:
        self._cuts.clear()
        self._enter(RuleOrder(do="remove-all"))

    async def settled(self) -> None:
        try:
            await asyncio.wait_for(self._orders.join(), CARRIED_OUT_WITHIN_S)
        except TimeoutError:
            self._trouble.append(f"the network did not change within {CARRIED_OUT_WITHIN_S:g} s")
        if self._trouble:
            trouble = "; ".join(self._trouble)
            self._trouble.clear()
            raise EnvironmentFailure(trouble)

    # ------------------------------------------------------------ inside

    def _enter(self, order: RuleOrder) -> None:
        cut = set().union(*self._cuts.values())
        self._orders.put_nowait((order, to_unplug(self._places, self._links, cut)))

    async def _carry_out_all(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            while True:
                order, unplugged = await self._orders.get()
                try:
                    # A cut begins at the proxy and ends at the plug, so that in between nothing slips through.
                    if order.do == "apply":
                        await self._tell(session, order)
                    await asyncio.to_thread(self._plug, unplugged)
                    if order.do != "apply":
                        await self._tell(session, order)
                except Exception as failure:  # noqa: BLE001  `settled` says it, and the next order is carried out
                    self._trouble.append(str(failure) if isinstance(failure, EnvironmentFailure) else repr(failure))
                finally:
                    self._orders.task_done()

    async def _tell(self, session: aiohttp.ClientSession, order: RuleOrder) -> None:
        try:
            async with session.post(self.url + PATH, data=msgspec.json.encode(order)) as response:
                if response.status == 204:
                    return
                why = f"{response.status} {await response.text()}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
        raise EnvironmentFailure(f"the proxy of the links did not {order.do}: {why}")

    def _plug(self, unplugged: set[Attachment]) -> None:
        """Disconnect and connect until exactly these are disconnected. Blocks."""
        for place in self._places:
            if place in unplugged and place not in self._unplugged:
                with told(f"{place.node} cannot be disconnected from {place.network}"):
                    self._networks[place.network].disconnect(self._containers[place.node])
                self._unplugged.add(place)
            elif place in self._unplugged and place not in unplugged:
                with told(f"{place.node} cannot be connected to {place.network}"):
                    self._networks[place.network].connect(
                        self._containers[place.node], ipv4_address=place.address, aliases=list(place.names)
                    )
                self._unplugged.discard(place)
