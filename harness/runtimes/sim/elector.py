"""The simulated process of an elector: the real `Elector` of each store, over calls to simulated copies."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from harness.runtimes.base import SECOND_ELECTOR
from harness.runtimes.deployment.plan import ELECTOR
from harness.runtimes.deployment.spec import Spec
from harness.runtimes.sim.calls import RemoteCalls
from harness.runtimes.sim.copy_server import CopyServer, Holding
from harness.runtimes.sim.machine import Machine
from harness.runtimes.sim.network import SimulatedNetwork
from harness.runtimes.sim.process import SimClock
from harness.runtimes.sim.stores import FIRST_NUMBER, ServerSet
from protocols.copies import COPIES
from protocols.copies.elector import Elector, View
from protocols.core import Config
from protocols.service.tasks import Background, Task

ANSWER_WITHIN_S = 0.5


class SimCopy:
    """A `Copy` of the elector."""

    def __init__(self, server: CopyServer, calls: RemoteCalls) -> None:
        self.name = server.name
        self._server = server
        self._calls = calls

    async def look(self) -> View:
        return await self._calls.ask(self._server, lambda result: result(self._server.view()))

    async def confirm(self, epoch: int, within_s: float) -> bool:
        return await self._calls.ask(
            self._server, lambda result: self._server.confirm(epoch, within_s, result), within_s + ANSWER_WITHIN_S
        )

    async def hold(self) -> "SimHold":
        server = self._server
        holding: Holding = await self._calls.ask(server, lambda result: result(server.connect_elector()))
        hold = SimHold(server, self._calls, holding)
        await hold.order(lambda: server.take(holding))
        return hold


class SimHold:
    """A `Hold` of the elector. Its commands still arrive after `release`, as those of a connection that was closed."""

    def __init__(self, server: CopyServer, calls: RemoteCalls, holding: Holding) -> None:
        self._server = server
        self._calls = calls
        self._holding = holding

    async def order(self, do: Callable[[], None]) -> View:
        """Have the server do it; return its view after that. Raises `Silent`."""

        def if_held(result: Callable[[View | None], None]) -> None:
            if self._holding.alive:
                do()
            result(self._server.view() if self._holding.alive else None)

        return await self._calls.ask(self._server, if_held)

    async def look(self) -> View:
        return await self.order(lambda: None)

    async def promise(self, ballot: int) -> None:
        await self.order(lambda: self._server.promise(ballot))

    async def detach(self) -> None:
        await self.order(self._server.detach)

    async def promote(self, epoch: int) -> None:
        await self.order(lambda: self._server.promote(epoch))

    async def follow(self, primary: str) -> None:
        await self.order(lambda: self._server.follow(primary))

    def release(self) -> None:
        """Do nothing: the next elector's hold ends this one."""


class ElectorMachine(Machine):
    """An elector of several stores, with all its lives. `copies`: the servers of each store."""

    start_s = 0.2

    def __init__(
        self,
        network: SimulatedNetwork,
        name: str,
        machine_number: int,
        respawn_s: float,
        number: int,
        copies: Mapping[str, Sequence[CopyServer]],
        config: Config,
    ) -> None:
        super().__init__(network.world, name, "elector", "", machine_number, respawn_s)
        self._network = network
        self._elector_number = number
        self._copies = copies
        self._config = config
        self._background = Background()
        self._tasks: list[Task] = []

    def born(self) -> None:
        life, clock = self.life, SimClock(self)
        calls = RemoteCalls(self._network, self.name, lambda call: self.enter(life, call), clock)
        for store, servers in self._copies.items():
            copies = [SimCopy(server, calls) for server in servers]
            rng = self.world.stream(f"{self.name}:{life}:{store}")
            elector = Elector(copies, self._elector_number, rng, self._config.enabled, self._say)
            self._tasks.append(self._background.run(elector.run(), f"{self.name} of {store}"))

    def died(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    def _say(self, text: str) -> None:
        self.world.trace.add(self.name, text)


def simulated_electors(
    spec: Spec, config: Config, network: SimulatedNetwork, stores: Iterable[ServerSet]
) -> tuple[ElectorMachine, ...]:
    """Return the elector of stores with copies, and a second one for the fault `two-electors`; none without copies."""
    copies = {store.name: store.copies for store in stores if store.copies}
    return tuple(
        ElectorMachine(network, name, FIRST_NUMBER * (COPIES + number), spec.respawn_after_s, number, copies, config)
        for number, name in enumerate((ELECTOR, SECOND_ELECTOR), start=1)
        if copies
    )
