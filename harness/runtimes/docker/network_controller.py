"""The network between containers: every link goes through the proxy of `links.py`, and a cut is a real one where it can be.

A rule is carried out by the proxy. If it is a cut of every link that a node has on one of its networks, the node is
disconnected from that network as well, by the engine: its interface is gone until the end of the cut, and so is every packet.
A cut of fewer links (one direction only, one of several workers) is carried out by the proxy alone.
"""

import asyncio
from collections.abc import Hashable, Iterable, Mapping
from random import Random
from typing import Any

import aiohttp
import msgspec

from harness.errors import EnvironmentFailure
from harness.runtimes.base import LinkId, Rule
from harness.runtimes.docker.engine_client import engine_errors
from harness.runtimes.docker.layout import Attachment, PlannedLink, serves_only
from harness.runtimes.docker.links import PATH, RuleOrder
from protocols.service.links.peers import SECRET
from protocols.service.tasks import Background

ANSWER_WITHIN_S = 5.0
CARRIED_OUT_WITHIN_S = 20.0


def to_detach(attachments: Iterable[Attachment], links: Iterable[PlannedLink], cut: set[LinkId]) -> set[Attachment]:
    """Return the attachments to be detached for these cuts: those of which every link on their network is cut.

    Of the two ends of a network, it is the store's or the broker's rather than the service's.
    """
    links = tuple(links)
    detached: set[Attachment] = set()
    covered: set[tuple[str, LinkId]] = set()
    for attachment in sorted(attachments, key=lambda attachment: not serves_only(attachment.node)):
        # Links that the detachment of their other end cuts already need no second detachment (`mine - covered`).
        mine = {
            (link.network, link.link_id)
            for link in links
            if link.network == attachment.network and attachment.node in link.link_id
        }
        if mine and mine - covered and all(link_id in cut for _, link_id in mine):
            detached.add(attachment)
            covered |= mine
    return detached


class NetworkController:
    """A `LinkNetwork` of containers. Its orders take effect in their order, a little later; `settled` waits for them."""

    def __init__(self, attachments: Iterable[Attachment], links: Iterable[PlannedLink], secret: str) -> None:
        self._attachments = tuple(attachments)
        self._links = tuple(links)
        self._headers = {SECRET: secret, "content-type": "application/json"}
        self._names: dict[Hashable, str] = {}
        self._cuts: dict[Hashable, set[LinkId]] = {}
        self._detached: set[Attachment] = set()
        self._orders: asyncio.Queue[tuple[RuleOrder, set[Attachment]]] = asyncio.Queue()
        self._trouble: list[str] = []
        self._tasks = Background(self._trouble.append)
        self._networks: Mapping[str, Any] = {}
        self._containers: Mapping[str, Any] = {}
        self.url = ""

    @property
    def link_ids(self) -> tuple[LinkId, ...]:
        return tuple(link.link_id for link in self._links)

    def attached(self, networks: Mapping[str, Any], containers: Mapping[str, Any], url: str) -> None:
        """Set the engine's networks by their names in the layout, its containers by node, and the address of the proxy."""
        self._networks, self._containers, self.url = networks, containers, url

    async def start(self) -> None:
        self._tasks.keep(self._carry_out_all, "controller")

    async def stop(self) -> None:
        await self._tasks.stop()

    def apply_rule(self, by: Hashable, link_ids: Iterable[LinkId], rule: Rule, rng: Random) -> None:
        links = list(link_ids)
        if rule.cut:
            self._cuts[by] = set(links)
        name = self._names.setdefault(by, str(len(self._names)))
        self._enter(RuleOrder(do="apply", by=name, link_ids=links, rule=rule, seed=rng.getrandbits(64)))

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
        self._orders.put_nowait((order, to_detach(self._attachments, self._links, cut)))

    async def _carry_out_all(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            while True:
                order, detached = await self._orders.get()
                try:
                    # The proxy's rule begins before the detachment and ends after it. Without the rule the proxy would find a
                    # node that cannot be reached, and close connections that a cut only stalls.
                    if order.do == "apply":
                        await self._send(session, order)
                    await asyncio.to_thread(self._attach_and_detach, detached)
                    if order.do != "apply":
                        await self._send(session, order)
                except Exception as failure:  # noqa: BLE001  `settled` raises it, and the next order is carried out
                    self._trouble.append(str(failure) if isinstance(failure, EnvironmentFailure) else repr(failure))
                finally:
                    self._orders.task_done()

    async def _send(self, session: aiohttp.ClientSession, order: RuleOrder) -> None:
        try:
            async with session.post(self.url + PATH, data=msgspec.json.encode(order)) as response:
                if response.status == 204:
                    return
                why = f"{response.status} {await response.text()}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            why = str(error) or type(error).__name__
        raise EnvironmentFailure(f"the proxy of the links did not {order.do}: {why}")

    def _attach_and_detach(self, detached: set[Attachment]) -> None:
        """Disconnect and connect until exactly these are disconnected. Blocks."""
        for attachment in self._attachments:
            if attachment in detached and attachment not in self._detached:
                with engine_errors(f"{attachment.node} cannot be disconnected from {attachment.network}"):
                    self._networks[attachment.network].disconnect(self._containers[attachment.node])
                self._detached.add(attachment)
            elif attachment in self._detached and attachment not in detached:
                with engine_errors(f"{attachment.node} cannot be connected to {attachment.network}"):
                    self._networks[attachment.network].connect(
                        self._containers[attachment.node],
                        ipv4_address=attachment.address,
                        aliases=list(attachment.names),
                    )
                self._detached.discard(attachment)
