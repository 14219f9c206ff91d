"""The nodes of a shop that somebody else has started, as a runtime: it kills and pauses them, and puts everything back.

The shop is left running as it was found. Its nodes are touched by orders alone, each in the thread of its node, and in the
sequence of the orders. A node that a start command has started stays running when this process ends.
"""

import asyncio
import sys
from collections.abc import Iterable, Sequence
from functools import partial

from harness.errors import EnvironmentFailure
from harness.runtimes.base import Capability, FaultOwnership, Node
from harness.runtimes.deployment import watchdog
from harness.runtimes.deployment.order_thread import OrderThread
from harness.runtimes.deployment.watchdog import Guarded
from harness.runtimes.external.base import ForeignNode
from harness.runtimes.external.unavailable import NodeFaultsOnly
from protocols.service.tasks import Background, to_its_end

LOOK_EVERY_S = 0.25
RETURN_AFTER_S = 1.0
"""The time in which a supervisor may start a node again after a kill, before this runtime does."""
RESCUE = "harness.runtimes.external.rescue"
START_ORDER = ("store", "broker", "service", "gateway")


class ExternalRuntime(NodeFaultsOnly):
    """A `Breakable` runtime of foreign nodes. `url`: the address of the shop's public interface.

    A node may have a supervisor of its own, which starts it at once also where a fault keeps it down (`stay_down`).
    """

    def __init__(self, url: str, nodes: Sequence[ForeignNode]) -> None:
        self.holds = FaultOwnership()
        self._url = url
        self._nodes = {node.name: node for node in nodes}
        self._orders = {name: OrderThread(name) for name in self._nodes}
        # The failure of a start is raised by `heal`, which starts every node that is down.
        self._starts = Background(lambda _: None)
        self._looks = Background(lambda _: None)
        self._guarded: dict[Guarded, None] = {}
        self._closed = False

    # ------------------------------------------------------------ the runtime's port

    @property
    def url(self) -> str:
        return self._url

    async def up(self) -> None:
        """Check that every node runs, and follow them from now on. Raises `EnvironmentFailure` naming those that do not."""
        await self._call_all("refresh", self._nodes)
        lost = [f"{node.name} ({node.state})" for node in self.nodes() if node.state != "running"]
        if lost:
            raise EnvironmentFailure(f"not running: {', '.join(lost)}; start the whole shop first")
        for name in self._nodes:
            self._looks.keep(partial(self._follow, name), f"the look at {name}")

    async def down(self) -> None:
        """Put everything back, as `heal` does, and leave the shop running. It may be called twice."""
        if self._closed:
            return
        try:
            await self.heal()
            await self._looks.stop()
        finally:
            self._closed = True
            for name, orders in self._orders.items():
                orders.enter(self._nodes[name].close)
                orders.close()

    def nodes(self) -> tuple[Node, ...]:
        return tuple(node.node() for node in self._nodes.values())

    def kill(self, name: str, *, stay_down: bool = False) -> None:
        self._guard(name)
        self._enter(name, "kill")
        if not stay_down:
            self._starts.run(self._return(name), f"the return of {name}")

    def pause(self, name: str) -> None:
        self._guard(name)
        self._enter(name, "pause")

    def resume(self, name: str) -> None:
        self._enter(name, "resume")

    async def restart(self, name: str) -> None:
        self._enter(name, "kill")
        await self.settled()
        await self._start(name)

    async def settled(self) -> None:
        await asyncio.gather(*(orders.settled() for orders in self._orders.values()))
        self._raise(line for orders in self._orders.values() for line in orders.take_trouble())

    # ------------------------------------------------------------ the port for faults

    @property
    def capabilities(self) -> frozenset[Capability]:
        return frozenset({"signals"}) if self._nodes else frozenset()

    def revive(self, name: str) -> None:
        self._starts.run(self._start(name), f"the start of {self._node(name).name}")

    async def heal(self) -> None:
        """Resume, reconnect and start every node, stores first; return once all run.

        It also ends what a cancelled fault has left, and is itself carried out to its end when cancelled. Raises
        `EnvironmentFailure` naming each node that does not come back.
        """
        await to_its_end(self._heal(), "heal")

    # ------------------------------------------------------------ beyond the port

    def disconnect(self, name: str) -> None:
        """Disconnect a node from its networks; a container alone has networks of its own."""
        self._enter(name, "disconnect")

    def reconnect(self, name: str) -> None:
        """Connect a node to the networks that `disconnect` took from it."""
        self._enter(name, "reconnect")

    # ------------------------------------------------------------ inside

    async def _heal(self) -> None:
        await self._starts.stop()
        await self._settled_all()
        failures = [*await self._try_all("resume", self._nodes), *await self._try_all("reconnect", self._nodes)]
        kinds = {node.name: node.kind for node in self.nodes()}
        for kind in START_ORDER:
            failures += await self._try_all("start", [name for name in self._nodes if kinds[name] == kind])
        self._raise(failures)
        for guarded in self._guarded:
            watchdog.release(guarded)
        self._guarded.clear()

    def _node(self, name: str) -> ForeignNode:
        if name not in self._nodes:
            raise KeyError(f"no node {name!r}; there are: {', '.join(self._nodes)}")
        return self._nodes[name]

    def _guard(self, name: str) -> None:
        """Have the watchdog put a node back if this process is killed before the next heal."""
        if arguments := self._node(name).rescue():
            guarded = Guarded(folder="", command=(sys.executable, "-P", "-m", RESCUE, *arguments))
            if guarded not in self._guarded:
                self._guarded[guarded] = None
                watchdog.guard(guarded)

    def _enter(self, name: str, order: str) -> None:
        node = self._node(name)
        self._orders[name].enter(self._carry_out, node, order)

    def _carry_out(self, node: ForeignNode, order: str) -> None:
        """Carry out an order, and look at its effect: `nodes` shows it as soon as the order is settled."""
        try:
            getattr(node, order)()
        finally:
            node.refresh()

    async def _follow(self, name: str) -> None:
        while True:
            await self._orders[name].call(self._nodes[name].refresh)
            await asyncio.sleep(LOOK_EVERY_S)

    async def _return(self, name: str) -> None:
        """Start a node after a kill, unless it comes back by itself or a fault keeps it down."""
        await self._orders[name].settled()
        await asyncio.sleep(RETURN_AFTER_S)
        if not self.holds.held(f"down {name}"):
            await self._start(name)

    async def _start(self, name: str) -> None:
        self._node(name)
        await self._call_all("start", [name])

    async def _settled_all(self) -> None:
        """Wait for every order under way; the trouble of orders is no matter of a heal."""
        await asyncio.gather(*(orders.settled() for orders in self._orders.values()))
        for orders in self._orders.values():
            orders.take_trouble()

    async def _call_all(self, order: str, names: Iterable[str]) -> None:
        self._raise(await self._try_all(order, names))

    async def _try_all(self, order: str, names: Iterable[str]) -> list[str]:
        """Carry out an order at several nodes at once; return one line for each failure."""
        calls = [self._orders[name].call(self._carry_out, self._nodes[name], order) for name in names]
        results = await asyncio.gather(*calls, return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        for failure in failures:
            if not isinstance(failure, EnvironmentFailure):
                raise failure
        return [str(failure) for failure in failures]

    def _raise(self, failures: Iterable[str]) -> None:
        if lines := list(failures):
            raise EnvironmentFailure("; ".join(lines))
